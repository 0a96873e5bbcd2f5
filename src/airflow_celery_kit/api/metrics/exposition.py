"""Runs in: airflow-apiserver; metrics as Prometheus reads them, https://prometheus.io/docs/instrumenting/exposition_formats.

prometheus_client's `generate_latest` writes the same text, which a test compares, with so much more CPU that it was half of a large scrape.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.utils import floatToGoString

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
ESCAPES_OF_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Histogram(NamedTuple):
    """How many values were at most each bound, that of all of them last, and their sum."""

    cumulated: tuple[tuple[str, float], ...]
    total: float


Series = tuple[Mapping[str, str], float | Histogram]


def family(name: str, kind: str, says: str, series: Iterable[Series]) -> Iterator[str]:
    """Return the lines of one metric, each with its end; `name` is that of its samples, of a histogram's without what each adds."""
    yield f"# HELP {name} {says.translate(ESCAPES_OF_HELP)}\n# TYPE {name} {kind}\n"
    for labels, value in series:
        if isinstance(value, Histogram):
            yield from histogram(name, labels, value)
        else:
            yield f"{name}{braced(pairs(labels))} {floatToGoString(value)}\n"


def histogram(name: str, labels: Mapping[str, str], value: Histogram) -> Iterator[str]:
    """Return the lines of one histogram."""
    own = pairs(labels)
    bucket = f"{name}_bucket{{{''.join(f'{one},' for one in own)}le"
    for bound, number in value.cumulated:
        yield f'{bucket}="{bound}"}} {floatToGoString(number)}\n'
    yield f"{name}_count{braced(own)} {floatToGoString(value.cumulated[-1][1])}\n"
    yield f"{name}_sum{braced(own)} {floatToGoString(value.total)}\n"


def pairs(labels: Mapping[str, str]) -> list[str]:
    """Return the labels as they are written, by name."""
    return [f'{name}="{value.translate(ESCAPES)}"' for name, value in sorted(labels.items())]


def braced(labels: list[str]) -> str:
    """Return labels as they stand behind a name."""
    return f"{{{','.join(labels)}}}" if labels else ""

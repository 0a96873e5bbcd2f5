#!/usr/bin/env python3
"""Runs in: your shell; draws the trace of one run, as tests/stack/test_traces.py wrote it (`KIT_TRACE=FILE`): `draw_trace.py FILE PICTURE`.

Every bar is a span that a collector of OpenTelemetry was sent by a real stack.
"""

import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

ROW, LEFT, WIDTH, TOP, INDENT = 22, 300, 620, 46, 14
AIRFLOW, KIT, OWN = "#9aa7b4", "#2a78b8", "#d9822b"
OURS = "airflow_celery_kit"
LEGEND = ((AIRFLOW, "Airflow's own"), (KIT, "hops, from the journal"), (OWN, "the task's own code"))
STYLE = "text { font: 12px sans-serif; fill: #24292f } .small { font-size: 11px; fill: #57606a }"

Span = dict[str, Any]


def ordered(spans: list[Span], parent: str = "", depth: int = 0) -> Iterator[tuple[int, Span]]:
    """Yield each span below its parent, in the order of time, with how deep it is."""
    for span in sorted((one for one in spans if one["parent"] == parent), key=lambda one: (one["begun"], one["ended"])):
        yield depth, span
        yield from ordered(spans, span["id"], depth + 1)


def colour(span: Span) -> str:
    """Who told it."""
    if span["scope"] == OURS:
        return KIT
    return AIRFLOW if span["scope"].startswith("airflow") else OWN


def bar(number: int, depth: int, span: Span, first: float, scale: float) -> list[str]:
    """One row: name, bar, and how long it took."""
    y, x = TOP + number * ROW, LEFT + (span["begun"] - first) * scale
    width = max(2.0, (span["ended"] - span["begun"]) * scale)
    took = f"{(span['ended'] - span['begun']) * 1000:,.0f} ms"
    after = x + width + 6
    place = f'x="{after:.1f}"' if after < LEFT + WIDTH - 60 else f'x="{x - 6:.1f}" text-anchor="end"'
    return [
        f'<text x="{10 + depth * INDENT}" y="{y + 14}">{escape(span["name"])}</text>',
        f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="{ROW - 9}" rx="2" fill="{colour(span)}"/>',
        f'<text class="small" {place} y="{y + 14}">{took}</text>',
    ]


def picture(spans: list[Span]) -> str:
    """Return the whole picture as SVG."""
    rows = list(ordered(spans))
    first, last = min(one["begun"] for one in spans), max(one["ended"] for one in spans)
    height, scale = TOP + len(rows) * ROW + 12, (WIDTH - 70) / (last - first)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH} {height}" role="img">',
        f"<title>One run of two tasks as one trace of {len(rows)} spans</title><style>{STYLE}</style>",
        f'<rect width="{LEFT + WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (fill, text) in enumerate(LEGEND):
        x = 10 + number * 190
        lines.append(
            f'<rect x="{x}" y="14" width="12" height="12" rx="2" fill="{fill}"/><text x="{x + 18}" y="24">{text}</text>'
        )
    for number, (depth, span) in enumerate(rows):
        lines += bar(number, depth, span, first, scale)
    return "\n".join([*lines, "</svg>"]) + "\n"


def main(source: str, target: str) -> None:
    """Read the spans and draw them."""
    Path(target).write_text(picture(json.loads(Path(source).read_text())))


if __name__ == "__main__":
    main(*sys.argv[1:3])

"""A fan-out over real data: hashes and measures every installed Python distribution, writes a table and a chart.

The distributions are those of the interpreter that runs the task. `batches` mapped tasks share the work, whatever
their number of workers; the last task writes `distributions.csv` and `largest.png` into a folder of the run's own
below `output_dir`, else below `$KIT_OUTPUT_DIR`, else below the system's folder for temporary files. Files that are
listed but missing or unreadable are counted, they stop nothing.
"""

import csv
import hashlib
import os
import re
import tempfile
from datetime import timedelta
from importlib import metadata
from itertools import chain
from pathlib import Path

from airflow.sdk import Param, dag, task

COLUMNS = ("name", "version", "files", "bytes", "sha256", "unreadable")
SHOWN = 20


def distribution_names() -> list[str]:
    """Each name once, sorted, however often it lies on the path; broken entries without a name are left out."""
    names = (dist.metadata.get("Name") for dist in metadata.distributions() if dist.metadata)
    return sorted({re.sub(r"[-_.]+", "-", name).lower() for name in names if name})


def split(names: list[str], batches: int) -> list[list[str]]:
    """Deals the names out like cards, so that neighbours of one big family land in different batches."""
    return [names[start::batches] for start in range(min(batches, len(names)))]


def measure_file(path: Path) -> tuple[int, str] | None:
    """Size and hash of one file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError:
        return None


def measure_distribution(dist: metadata.Distribution) -> dict:
    """One row of the table; its hash is that of the sorted file hashes, one a line, so names do not matter."""
    results = [measure_file(Path(str(dist.locate_file(file)))) for file in dist.files or ()]
    read = [result for result in results if result]
    digests = "".join(f"{digest}\n" for digest in sorted(digest for _, digest in read))
    return {
        "name": dist.metadata["Name"],
        "version": dist.version,
        "files": len(read),
        "bytes": sum(size for size, _ in read),
        "sha256": hashlib.sha256(digests.encode()).hexdigest(),
        "unreadable": len(results) - len(read),
    }


def total(rows: list[dict]) -> dict:
    """The sums over all distributions."""
    sums = {column: sum(row[column] for row in rows) for column in ("files", "bytes", "unreadable")}
    return {"distributions": len(rows), **sums}


def run_folder(output_dir: str | None, run_id: str) -> Path:
    """The run's own folder; the hash keeps two run ids apart that differ only in what a file name cannot hold."""
    root = Path(output_dir or os.environ.get("KIT_OUTPUT_DIR") or tempfile.gettempdir())
    readable = re.sub(r"[^\w-]+", "_", run_id, flags=re.ASCII)[:100]
    return root / f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def write_table(rows: list[dict], path: Path) -> None:
    """Writes the rows as CSV, by name."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["name"].lower()))


def draw_chart(rows: list[dict], sums: dict, path: Path) -> None:
    """Draws the largest distributions as horizontal bars, the largest on top."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    largest = sorted(rows, key=lambda row: row["bytes"])[-SHOWN:]
    figure = Figure(figsize=(10, 1.6 + 0.32 * len(largest)), dpi=150, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
    axes = figure.add_subplot()
    bars = axes.barh([f"{row['name']} {row['version']}" for row in largest], [row["bytes"] / 1e6 for row in largest])
    axes.bar_label(bars, fmt="%.1f MB", padding=4, fontsize=9)
    axes.set_title(f"The {len(largest)} largest installed Python distributions", loc="left", pad=26, weight="bold")
    everything = f"all {sums['distributions']} together: {sums['files']:,} files, {sums['bytes'] / 1e6:,.1f} MB"
    axes.annotate(everything, (0, 1), (0, 9), xycoords="axes fraction", textcoords="offset points", color="dimgray")
    axes.set_xlabel("size of the files on disk (1 MB = 1,000,000 bytes)")
    axes.margins(x=0.1, y=0.02)
    axes.xaxis.set_major_formatter("{x:g} MB")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    FigureCanvasAgg(figure).print_png(path)


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example", "fan-out"],
    doc_md=__doc__,
    default_args={"execution_timeout": timedelta(minutes=10)},
    params={
        "batches": Param(12, type="integer", minimum=1, maximum=1000, description="mapped tasks that share the work"),
        "output_dir": Param(None, type=["null", "string"], minLength=1, description="where the run's folder goes"),
    },
)
def installed_distributions():
    @task
    def list_batches(params: dict) -> list[list[str]]:
        """The names of all distributions, dealt out into batches."""
        return split(distribution_names(), params["batches"])

    @task
    def measure(names: list[str]) -> list[dict]:
        """One row for each distribution of the batch."""
        return [measure_distribution(metadata.distribution(name)) for name in names]

    @task(multiple_outputs=False)
    def add_up(batches: list[list[dict]]) -> dict:
        """The sums over all batches."""
        return total(list(chain.from_iterable(batches)))

    @task(multiple_outputs=False)
    def write_report(batches: list[list[dict]], sums: dict, params: dict, run_id: str) -> dict:
        """Table and chart in one task: the next one might run on another machine, without this one's files."""
        rows = list(chain.from_iterable(batches))
        folder = run_folder(params["output_dir"], run_id)
        folder.mkdir(parents=True, exist_ok=True)
        write_table(rows, folder / "distributions.csv")
        draw_chart(rows, sums, folder / "largest.png")
        return {"table": str(folder / "distributions.csv"), "chart": str(folder / "largest.png"), **sums}

    measured = measure.expand(names=list_batches())
    write_report(measured, add_up(measured))


installed_distributions()

"""The measuring of distributions, on those installed here and on one made by hand."""

import csv
import hashlib
import subprocess
from importlib import metadata
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def dists(dag_file):
    return dag_file("installed_distributions")


@pytest.fixture
def made_by_hand(tmp_path) -> metadata.Distribution:
    """A distribution that lists two files, one of which is not there."""
    info = tmp_path / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "RECORD").write_text("thing.py,,\ngone.py,,\n")
    (tmp_path / "thing.py").write_bytes(b"print(1)\n")
    return metadata.Distribution.at(info)


def test_every_distribution_is_listed_once(dists):
    names = dists.distribution_names()
    assert {"pytest", "apache-airflow"} <= set(names)
    assert len(names) == len(set(names))
    assert all(metadata.version(name) for name in names)


@pytest.mark.parametrize("batches", [1, 2, 3, 12, 1000])
def test_splitting_loses_and_doubles_nothing(dists, batches):
    names = [f"name-{number:03}" for number in range(50)]
    parts = dists.split(names, batches)
    assert sorted(name for part in parts for name in part) == names
    assert len(parts) == min(batches, 50)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_no_names_make_no_batches(dists):
    assert dists.split([], 12) == []


def test_a_real_distribution_is_measured_like_sha256sum_does(dists):
    dist = metadata.distribution("pytest")
    files = [path for path in map(Path, map(dist.locate_file, dist.files)) if path.is_file()]
    lines = subprocess.run(["sha256sum", *files], check=True, capture_output=True, text=True).stdout.splitlines()
    digests = "".join(sorted(line.split()[0] + "\n" for line in lines))
    row = dists.measure_distribution(dist)
    assert row["version"] == metadata.version("pytest")
    assert row["files"] == len(files) > 50
    assert row["bytes"] == sum(path.stat().st_size for path in files)
    assert row["sha256"] == hashlib.sha256(digests.encode()).hexdigest()


def test_a_missing_file_is_counted(dists, made_by_hand):
    row = dists.measure_distribution(made_by_hand)
    assert (row["files"], row["bytes"], row["unreadable"]) == (1, 9, 1)
    assert dists.total([row, row]) == {"distributions": 2, "files": 2, "bytes": 18, "unreadable": 2}


def test_a_folder_where_a_file_should_be_is_counted(dists, made_by_hand, tmp_path):
    (tmp_path / "gone.py").mkdir()
    assert dists.measure_distribution(made_by_hand)["unreadable"] == 1


def test_a_distribution_without_a_list_of_files_has_none(dists, made_by_hand, tmp_path):
    (tmp_path / "thing-1.0.dist-info" / "RECORD").unlink()
    row = dists.measure_distribution(made_by_hand)
    assert (row["files"], row["bytes"], row["unreadable"]) == (0, 0, 0)


def test_the_hash_changes_with_the_content_of_a_file(dists, made_by_hand, tmp_path):
    before = dists.measure_distribution(made_by_hand)["sha256"]
    (tmp_path / "thing.py").write_bytes(b"print(2)\n")
    assert dists.measure_distribution(made_by_hand)["sha256"] != before


def test_the_table_has_a_row_for_each_distribution(dists, made_by_hand, tmp_path):
    row = dists.measure_distribution(made_by_hand)
    dists.write_table([row | {"name": "zebra"}, row], tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [line["name"] for line in rows] == ["thing", "zebra"]
    assert rows[0] == {column: str(row[column]) for column in dists.COLUMNS}


def test_the_chart_is_a_picture_however_few_there_are_to_draw(dists, made_by_hand, tmp_path):
    rows = [dists.measure_distribution(made_by_hand)]
    dists.draw_chart(rows, dists.total(rows), tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_folder_of_a_run_stays_below_the_given_one(dists, tmp_path):
    run_ids = ["manual__2026-01-02T03:04:05+00:00", "manual__2026-01-02T03_04_05+00:00", "../../etc", "..", "é" * 250]
    folders = [dists.run_folder(str(tmp_path), run_id) for run_id in run_ids]
    assert len(set(folders)) == len(run_ids)
    assert all(folder.resolve().parent == tmp_path.resolve() for folder in folders)
    assert all(folder.name.isascii() and ":" not in folder.name for folder in folders)


def test_the_folder_comes_from_the_param_then_the_environment_then_the_system(dists, tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_OUTPUT_DIR", str(tmp_path / "environment"))
    assert dists.run_folder(str(tmp_path / "param"), "run").parent == tmp_path / "param"
    assert dists.run_folder(None, "run").parent == tmp_path / "environment"
    monkeypatch.delenv("KIT_OUTPUT_DIR")
    monkeypatch.setattr(dists.tempfile, "tempdir", str(tmp_path))
    assert dists.run_folder(None, "run").parent == tmp_path

"""`kit bench`: what it hands to the benchmark, and what it says where there is none."""

import json

import pytest

from airflow_celery_kit.cli import bench_commands
from tests.benchmarks import bench, report

FAKE = "import json, os, sys\nprint(json.dumps([sys.argv[1:], os.getcwd()]))\nsys.exit(1)\n"


@pytest.fixture
def checkout(root):
    """A checkout whose benchmark says how it was called, and ends as it does when a bar is missed."""
    path = root / bench_commands.BENCHMARK
    path.parent.mkdir(parents=True)
    path.write_text(FAKE)
    return root


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ([], []),
        (["--loads", "a,i", "--pairs", "3"], ["--loads=a,i", "--pairs=3"]),
        (["--json"], ["--json"]),
        (["--loads", "-x"], ["--loads=-x"]),
    ],
    ids=" ".join,
)
def test_options_are_handed_to_the_benchmark_of_the_checkout(kit, checkout, given, handed):
    (checkout / "dags").mkdir()
    ended = kit(checkout / "dags", "bench", *given)
    assert json.loads(ended.stdout) == [handed, str(checkout)]
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_checkout_without_tests_is_told_where_to_go(kit, root, tree):
    before = tree(root)
    ended = kit(root, "bench")
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (4, "")
    assert (
        line
        == f"kit: {root} has no tests/benchmarks/bench.py: clone the kit's Git repository and run 'kit bench' there"
    )
    assert tree(root) == before


def test_outside_a_checkout(kit, tmp_path):
    ended = kit(tmp_path, "bench")
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 3 and "is not in a checkout of the kit" in line


@pytest.mark.parametrize("pairs", ["0", "many"])
def test_a_number_of_pairs_that_cannot_be_meant(kit, checkout, pairs):
    ended = kit(checkout, "bench", "--pairs", pairs)
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1


def test_the_benchmark_understands_what_it_is_handed(monkeypatch, repository):
    assert (repository / bench_commands.BENCHMARK).is_file()
    assert bench.__name__ == bench_commands.MODULE
    monkeypatch.setattr("sys.argv", ["bench", *bench_commands.arguments("b,i2x400", 2, True)])
    options = bench.arguments()
    assert [load.letter for load in options.loads] == ["b", "i2x400"]
    assert (options.pairs, options.json) == (2, True)
    monkeypatch.setattr("sys.argv", ["bench", *bench_commands.arguments(None, None, False)])
    assert [load.letter for load in bench.arguments().loads] == bench.DEFAULT.split(",")


def test_the_json_in_the_documentation_is_what_the_benchmark_prints(monkeypatch, repository):
    monkeypatch.syspath_prepend(repository / "scripts")
    from reference.examples import JSON_SHAPES

    ((_, example),) = JSON_SHAPES["bench"]
    lines = [
        {"load": "a", "side": side, "pair": 1, "figures": {"seconds": seconds}}
        for side, seconds in (("stock", 30.0), ("kit", 9.0))
    ]
    made = report.as_json(lines)
    assert {name: set(entries[0]) for name, entries in example.items()} == {
        name: set(entries[0]) for name, entries in made.items()
    }

"""The benchmark's page, tables and charts, from lines of evidence made by hand."""

import xml.etree.ElementTree as xml

import pytest

from tests.benchmarks import charts, evidence, growth, report, task_charts

BASE = {"session": "s", "of": 1, "pair": 1, "bars": [], "machine": "2 cores", "date": "2026-01-31"}


def line(load, side, figures, bars=()):
    return BASE | {"load": load, "side": side, "figures": figures, "bars": list(bars)}


def both(load, of_stock, of_kit, **spans):
    return [line(load, side, one, spans.get(side, ())) for side, one in (("stock", of_stock), ("kit", of_kit))]


def grown(rate):
    return {"seconds": 100 / rate, "tasks per second": rate, "cpu per task": 0.2}


ORDER = {"seconds": 8.0, "mean completion / lower bound": 1.1, "first chain done / makespan": 0.2, "inversions": 0.05}
# Two chains of two steps: in turn, and one after the other.
IN_TURN = [[0, 2, 1, 1], [2, 4, 2, 1], [4, 6, 1, 2], [6, 8, 2, 2]]
FINISHED_FIRST = [[0, 2, 1, 1], [2, 4, 1, 2], [4, 6, 2, 1], [6, 8, 2, 2]]
# A task that waits, behind and between two urgent ones.
STARVES, IN_TIME = [[0, 2, 0, 1], [2, 4, 0, 1], [4, 5, 1, 0]], [[0, 2, 0, 1], [2, 3, 1, 0], [3, 5, 0, 1]]
GROWTH = [*both("i1x100", grown(2.5), grown(10.0)), *both("i4x1600", grown(5.0), grown(20.0))]
ALL = [
    *both("a", {"seconds": 30.0}, {"seconds": 9.0}, stock=[[1, 2]], kit=[[0, 1]]),
    *both("o", ORDER | {"seconds": 12.0}, ORDER, stock=IN_TURN, kit=FINISHED_FIRST),
    *both("s", {"longest wait": 3.0}, {"longest wait": 1.0}, stock=STARVES, kit=IN_TIME),
    *GROWTH,
]
FILES = {f"benchmarks{name}.svg" for name in ("", "-tasks", "-order", "-waits", "-growth")}


def test_every_chart_is_drawn_and_is_the_same_for_the_same_figures(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        charts.draw(ALL, tmp_path / name)
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert set(drawn) == FILES
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()} == drawn
    assert all(xml.fromstring(text).tag.endswith("svg") for text in drawn.values())


def test_the_page_shows_every_chart_that_is_drawn_and_no_other(tmp_path):
    for lines in (ALL, GROWTH, ALL[:2], ALL[2:3], []):
        for path in tmp_path.iterdir():
            path.unlink()
        charts.draw(lines, tmp_path)
        text = report.page(lines)
        assert {name for name in FILES if f"({name})" in text} == {path.name for path in tmp_path.iterdir()}


def test_old_lines_without_chain_and_step_are_readable_and_have_no_chart_of_the_order(tmp_path):
    old = both("o", ORDER, ORDER, stock=[[0, 2], [2, 4]], kit=[[0, 2], [2, 4]])
    charts.draw(old, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"benchmarks.svg"}
    assert "Order of work" not in report.page(old)


def test_chains_are_sorted_by_their_end_and_the_title_says_when_they_were_done():
    chains = task_charts.by_end([[0, 2, 1, 1], [2, 4, 2, 1], [4, 6, 2, 2], [6, 9, 1, 2]])
    assert [chain[0][2] for chain in chains] == [2, 1]
    assert task_charts.order_title("kit", chains) == "kit: first chain done after 6 s, mean 8 s, last 9 s"


def test_the_growth_table_has_a_row_for_each_combination_that_was_measured():
    head, _, *rows = growth.table(GROWTH)
    assert head.count("|") == 10
    assert rows == [
        "| 1 | 100 | 40.0 | 10.0 | 0.25 | 2.5 | 10.0 | 0.200 | 0.200 |",
        "| 4 | 1600 | 20.0 | 5.0 | 0.25 | 5.0 | 20.0 | 0.200 | 0.200 |",
    ]
    assert growth.table(ALL[:4]) == []
    assert growth.table(GROWTH[:1])[2:] == ["| 1 | 100 | 40.0 | - | - | 2.5 | - | 0.200 | - |"]


def test_the_growth_chart_is_given_a_line_for_each_side_and_number_of_tasks():
    assert growth.points(GROWTH) == {
        ("stock", 100): [(1, 2.5)], ("stock", 1600): [(4, 5.0)], ("kit", 100): [(1, 10.0)], ("kit", 1600): [(4, 20.0)],
    }  # fmt: skip
    assert growth.points(ALL[:4]) == {}


def test_growth_stands_in_its_own_table_only():
    assert "i1x100" not in "\n".join(report.summary(ALL))
    assert set(charts.seconds(ALL)) == {"a", "o"}


@pytest.mark.parametrize(
    ("kit", "shown"),
    [(7.0, "0.233 | stretch met"), (10.0, "0.333 | met"), (12.0, "**0.4** | **missed**"), (None, "- | not run")],
)
def test_a_bar_says_bar_stretch_median_and_verdict(kit, shown):
    lines = both("a", {"seconds": 30.0}, {"seconds": kit}) if kit else []
    assert f"| a | seconds | 0.35 of stock | 0.25 | {shown} |" in report.bars(lines)


def test_a_bar_without_stretch_is_met_or_missed():
    rows = report.bars(ALL)
    assert "| o | first chain done / makespan | 0.25 | - | 0.2 | met |" in rows
    assert "| o | inversions | 0.01 | - | **0.05** | **missed** |" in rows


def test_a_load_may_have_another_side_than_stock():
    lines = [line("p", "fifo", {"seconds": 50.0}), line("p", "kit", {"seconds": 51.0})]
    assert "| p | seconds | 1.05 of fifo | - | 1.02 | met |" in report.bars(lines)
    (row,) = [row for row in report.summary(lines) if row.startswith("| p |")]
    assert "| seconds | 50.0 of 1 (50.0-50.0) | 51.0 of 1 (51.0-51.0) | 1.02 |" in row


def test_json_holds_the_bars_of_what_was_measured_and_every_figure():
    found = report.as_json(ALL[:2])
    (bar,) = [one for one in found["bars"] if one["figure"] == "seconds"]
    assert bar == {
        "load": "a", "figure": "seconds", "unit": "of stock", "bar": 0.35, "stretch": 0.25, "median": 0.3, "verdict": "met",
    }  # fmt: skip
    assert {one["load"] for one in found["bars"]} == {"a"}
    assert found["figures"] == [{"load": "a", "figure": "seconds", "stock": [30.0], "kit": [9.0], "ratio": 0.3}]


def test_the_page_says_what_each_load_was_measured_on_and_what_was_not():
    said = " ".join(
        report.when([line("a", "kit", {"seconds": 9.0}) | {"commit": "abc"}, line("b", "kit", {"seconds": 1.0})])
    )
    assert "Commits: a abc, b one of 2026-" in said
    assert "Not measured yet: c1, c2, d" in said


def test_the_page_in_the_repository_is_made_from_its_evidence_and_says_which_bars_are_missed(tmp_path):
    assert report.main(tmp_path) == bool(report.WHY_MISSED)
    text = (tmp_path / "benchmarks.md").read_text()
    assert text == (evidence.FOLDER / "benchmarks.md").read_text()
    assert "not run" not in text
    found = {(one.load, one.figure) for one in report.verdicts(evidence.load()) if one.verdict == "missed"}
    assert found == set(report.WHY_MISSED)
    assert "| Figure | Bar | Stretch | Median | Verdict |" in text
    for letter in {one["load"] for one in evidence.load()} - growth.LETTERS:
        assert f"\n| {letter} |" in text

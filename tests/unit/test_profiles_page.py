"""What each profile costs, as a page, from figures made by hand."""

from pathlib import Path

from tests.benchmarks import profiles

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "how-do-i-choose-a-profile.md"


def figures(number: float) -> profiles.Figures:
    return {key: number for key, _, _ in profiles.ROWS}


def test_a_row_for_each_figure_shows_the_median_of_the_rounds_in_a_column_for_each_profile():
    page = profiles.page({"latency": [figures(1.0), figures(3.0)], "economy": [figures(0.5)]})
    assert "| What | `latency` | `economy` |" in page
    assert "| until a new file in `dags/` is a Dag in the UI | 2.0 s | 0.5 s |" in page
    assert page.count("\n| ") == len(profiles.ROWS) + 1


def test_every_profile_is_measured_and_explained():
    files = {path.stem for path in (HOW_TO.parents[2] / "config" / "profiles").glob("*.env")}
    assert set(profiles.PROFILES) == files
    assert [name for name in files if f"| `{name}` |" not in HOW_TO.read_text()] == []

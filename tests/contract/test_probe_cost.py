"""A health check that runs every few seconds for ever costs next to nothing: at most 0.1 s of CPU a call."""

import pytest

from tests.slack import median_cpu, most_for_a_check

METADATA = {"role": "airflow", "database": "airflow"}


@pytest.fixture
def healthy(prepared, tmp_path) -> dict[str, str]:
    """What every check needs to take its longest way, the good one."""
    prepared.query(
        "CREATE TABLE job (job_type text, hostname text, state text, latest_heartbeat timestamptz)", **METADATA
    )
    prepared.query(
        "INSERT INTO job VALUES ('SchedulerJob', 'here-1', 'running', now() + interval '1 hour')", **METADATA
    )
    (tmp_path / "beat").touch()
    yield {"KIT_BEAT_FILE": str(tmp_path / "beat")}
    prepared.query("DROP TABLE job", **METADATA)


@pytest.mark.parametrize("check", [("broker",), ("worker",), ("job", "SchedulerJob")], ids=" ".join)
def test_a_check_is_cheap(probe, healthy, check):
    assert median_cpu(lambda: probe(*check, **healthy)) <= most_for_a_check()

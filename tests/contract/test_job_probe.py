"""The health check of scheduler, Dag processor and triggerer against a real metadata database."""

import contextlib
import re
import time

import psycopg2
import pytest

from tests.slack import PATIENCE

METADATA = {"role": "airflow", "database": "airflow"}
# The columns of Airflow 3.3's table that the check reads, with its types.
TABLE = """
CREATE TABLE job (
    id serial PRIMARY KEY, dag_id varchar(250), state varchar(20), job_type varchar(30), start_date timestamptz, end_date timestamptz,
    latest_heartbeat timestamptz, executor_class varchar(500), hostname varchar(500), unixname varchar(1000)
)
"""
BEAT = "INSERT INTO job (job_type, hostname, state, latest_heartbeat) VALUES (%s, %s, %s, now() - make_interval(secs => %s))"


@pytest.fixture
def job(prepared):
    """Writes a row into an empty table `job`: the defaults are healthy."""
    prepared.query("DROP TABLE IF EXISTS job", **METADATA)
    prepared.query(TABLE, **METADATA)

    def write(job_type="SchedulerJob", hostname="here-1", state="running", age=1.0):
        prepared.query(BEAT, job_type, hostname, state, age, **METADATA)

    yield write
    prepared.query("DROP TABLE IF EXISTS job", **METADATA)


def test_a_fresh_heartbeat(probe, job):
    job()
    ended = probe("job", "SchedulerJob")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_no_row(probe, job):
    ended = probe("job", "SchedulerJob")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "SchedulerJob: no running job\n", "")


@pytest.mark.parametrize("other", [{"job_type": "TriggererJob"}, {"hostname": "here-2"}, {"state": "failed"}], ids=str)
def test_the_row_of_another_is_not_mine(probe, job, other):
    job(**other)
    assert probe("job", "SchedulerJob").stdout == "SchedulerJob: no running job\n"


def test_a_stale_heartbeat(probe, job):
    job(age=100)
    ended = probe("job", "SchedulerJob")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert re.fullmatch(r"SchedulerJob: last heartbeat 1\d\d s ago\n", ended.stdout)


def test_the_newest_of_several_counts(probe, job):
    job(age=5000)
    job(age=2)
    assert probe("job", "SchedulerJob").returncode == 0


def test_a_wrong_password_is_said_and_not_shown(probe, job, tmp_path):
    (tmp_path / "pgpass").write_text("*:*:airflow:airflow:not-the-password\n")
    (tmp_path / "pgpass").chmod(0o600)
    ended = probe("job", "SchedulerJob", PGPASSFILE=str(tmp_path / "pgpass"))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "password authentication failed" in ended.stdout
    assert "not-the-password" not in ended.stdout


def test_a_database_without_the_schema(probe, prepared):
    ended = probe("job", "SchedulerJob")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert 'relation "job" does not exist' in ended.stdout


def test_a_database_that_is_away(probe, stack):
    address = stack.settings["POSTGRES_PORT"]
    ended = probe(
        "job",
        "SchedulerJob",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"postgresql+psycopg2://airflow@127.0.0.1:{int(address) - 1}/airflow",
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "refused" in ended.stdout


def test_a_frozen_database_is_noticed_within_the_timeout(probe, job, prepared):
    job()
    prepared.freeze("postgres")
    try:
        begun = time.monotonic()
        ended = probe("job", "SchedulerJob")
        assert time.monotonic() - begun < 9 * PATIENCE
    finally:
        prepared.thaw("postgres")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "timeout" in ended.stdout
    assert probe("job", "SchedulerJob").returncode == 0


def test_a_locked_table_is_noticed_before_docker_loses_patience(probe, job, prepared):
    job()
    settings = prepared.settings
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1",
            port=settings["POSTGRES_PORT"],
            user="postgres",
            dbname="airflow",
            password=settings["POSTGRES_PASSWORD"],
        )
    ) as holder:
        holder.cursor().execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        assert probe("job", "SchedulerJob").returncode == 1
        assert time.monotonic() - begun < 9 * PATIENCE

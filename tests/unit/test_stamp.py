"""A database that was prepared for another version of the journal is prepared again: its stamp says which one it was."""

from alembic.script import ScriptDirectory

from airflow_celery_kit.journal import install
from airflow_celery_kit.runtimes import prepare


def test_the_newest_version_is_that_of_the_last_migration():
    assert install.newest() == ScriptDirectory.from_config(install.migrations()).get_current_head()


def test_a_migration_of_the_journal_changes_the_stamp(monkeypatch):
    before = prepare.stamp_of("admin")
    monkeypatch.setattr(install, "newest", lambda: "9999")
    assert prepare.stamp_of("admin") != before and prepare.stamp_of("admin").startswith(prepare.versions())

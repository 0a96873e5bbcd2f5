"""Each reader's file holds what that reader needs and nothing else."""

import hashlib
import os

import pytest

from airflow_celery_kit import secret_files
from airflow_celery_kit.settings import Settings

DATABASE_PASSWORDS = (
    "POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "CELERY_DB_PASSWORD", "KIT_DB_PASSWORD", "JOURNAL_WRITER_PASSWORD",
    "JOURNAL_SCHEDULER_PASSWORD", "JOURNAL_READER_PASSWORD",
)  # fmt: skip
OPENS = {
    "pgpass_superuser": ("POSTGRES_PASSWORD",),
    "pgpass_init": ("POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "CELERY_DB_PASSWORD"),
    "pgpass_controller": ("KIT_DB_PASSWORD",),
    "pgpass_metadata": ("AIRFLOW_DB_PASSWORD",),
    "pgpass_apiserver": ("AIRFLOW_DB_PASSWORD", "JOURNAL_READER_PASSWORD"),
    "pgpass_scheduler": ("AIRFLOW_DB_PASSWORD", "CELERY_DB_PASSWORD", "JOURNAL_SCHEDULER_PASSWORD"),
    "pgpass_worker": ("CELERY_DB_PASSWORD", "JOURNAL_WRITER_PASSWORD"),
}


@pytest.fixture
def written(settings) -> dict[str, str]:
    """Every secret file's text by its name."""
    secret_files.write(settings)
    return {path.name: path.read_text() for path in settings.secrets.iterdir()}


def test_every_file_is_written(written):
    assert set(written) == set(secret_files.FILES)
    assert all(written.values())


@pytest.mark.parametrize("name", OPENS)
def test_a_password_file_opens_its_databases_alone(settings, written, name):
    held = tuple(knob for knob in DATABASE_PASSWORDS if settings[knob] in written[name])
    assert held == OPENS[name]
    assert len(written[name].splitlines()) == len(held)


def test_a_workers_password_file_opens_results_and_adds_to_the_journal(settings, written):
    assert written["pgpass_worker"].splitlines() == [
        f"*:*:celery:celery:{settings['CELERY_DB_PASSWORD']}", f"*:*:kit:journal_writer:{settings['JOURNAL_WRITER_PASSWORD']}",
    ]  # fmt: skip


def test_the_users_file_of_the_broker_holds_a_hash_and_never_the_password(settings, written):
    default, *users = written["valkey_users"].splitlines()
    assert default == "user default off"
    for user, (name, knob) in zip(users, (("airflow", "VALKEY_PASSWORD"), ("kit", "CONTROLLER_PASSWORD")), strict=True):
        password = settings[knob]
        assert user.startswith(f"user {name} on #{hashlib.sha256(password.encode()).hexdigest()} ")
        assert password not in written["valkey_users"]
    assert "nopass" not in written["valkey_users"]


def test_no_file_but_its_own_holds_a_signing_key(settings, written):
    for knob in ("JWT_SECRET", "FERNET_KEY", "API_SECRET_KEY", "FLOWER_COOKIE_SECRET"):
        assert [name for name, text in written.items() if settings[knob] in text] == [knob.lower()]


def test_files_belong_to_the_containers_user_alone(settings, written):
    owner = settings.number("KIT_UID") if os.geteuid() == 0 else os.geteuid()
    found = [(settings.secrets / name).stat() for name in written]
    assert {(one.st_mode & 0o777, one.st_uid) for one in found} == {(0o600, owner)}


def test_what_agrees_is_not_written_again(settings, written):
    assert secret_files.stale(settings) == []
    before = {name: (settings.secrets / name).stat().st_ino for name in written}
    assert secret_files.write(settings) == []
    assert {name: (settings.secrets / name).stat().st_ino for name in written} == before


def test_a_changed_password_is_noticed_and_touches_its_files_alone(settings, written):
    changed = Settings(settings.root, {**settings.values, "CELERY_DB_PASSWORD": "a-new-password"})
    stale = ["celery_db_password", "pgpass_init", "pgpass_scheduler", "pgpass_worker"]
    assert secret_files.stale(changed) == stale
    assert secret_files.write(changed) == stale
    assert secret_files.stale(changed) == []


def test_a_file_that_is_gone_or_was_edited_is_noticed(settings, written):
    (settings.secrets / "jwt_secret").unlink()
    (settings.secrets / "flower_password").write_text("")
    assert secret_files.stale(settings) == ["jwt_secret", "flower_password"]
    secret_files.write(settings)
    assert (settings.secrets / "jwt_secret").read_text() == settings["JWT_SECRET"]

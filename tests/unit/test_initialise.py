"""`kit init` makes what is missing, keeps what is there, and refuses where secrets of existing data are gone."""

import io
import os
import shutil
import socket
from pathlib import Path

import pytest
from dotenv import dotenv_values

from airflow_celery_kit import knobs
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.initialise import fitted, initialise
from airflow_celery_kit.runtimes.servers import SYSTEM_HOME, Servers
from airflow_celery_kit.settings import Settings

pytestmark = pytest.mark.usefixtures("without_engine")
SECRETS = [knob.name for knob in knobs.KNOBS.values() if knob.secret]


def quiet(_: str) -> None:
    """Nobody listens to the steps."""


@pytest.fixture
def make_database(root):
    """Leaves what the embedded runtime leaves of a database, in the real place for this user."""
    data = Servers.of(Settings(root, {name: knob.default for name, knob in knobs.KNOBS.items()})).postgres_data

    def make() -> Path:
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text("18\n")
        return data

    yield make
    shutil.rmtree(data.parent, ignore_errors=True)
    if os.geteuid() == 0 and not any(SYSTEM_HOME.iterdir()):
        SYSTEM_HOME.rmdir()


def without(text: str, name: str) -> str:
    """An `.env` that lacks one knob."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{name}="))


def test_it_makes_a_complete_env_file_for_its_owner_alone(root):
    settings = initialise(root, quiet)
    assert (root / ".env").stat().st_mode & 0o777 == 0o600
    assert all(len(settings[name]) >= 43 for name in SECRETS)


def test_it_makes_secret_files_for_their_owner_alone(root):
    settings = initialise(root, quiet)
    assert settings.secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in settings.secrets.iterdir()} == {0o600}
    owner = settings.number("KIT_UID")
    assert (settings.secrets / "valkey_password").stat().st_uid == owner
    assert (settings.var / "output").stat().st_uid == owner


def test_a_second_call_changes_nothing(root, tree):
    initialise(root, quiet)
    before = tree(root)
    assert initialise(root, pytest.fail)["WORKERS"] == "1"
    assert tree(root) == before


def test_two_checkouts_have_no_secret_in_common(root, tmp_path):
    shutil.copytree(root, tmp_path / "second")
    first, second = initialise(root, quiet), initialise(tmp_path / "second", quiet)
    assert {first[name] for name in SECRETS}.isdisjoint(second[name] for name in SECRETS)


def test_values_of_the_user_stay_and_an_absent_knob_is_added(root):
    initialise(root, quiet)
    mine = (root / ".env").read_text().replace("\nWORKERS=1\n", "\nWORKERS=7\n") + "MY_OWN=kept\n"
    (root / ".env").write_text(without(mine, "LOG_MAX_FILES"))
    settings = initialise(root, quiet)
    assert (settings["WORKERS"], settings["LOG_MAX_FILES"]) == ("7", "3")
    assert dotenv_values(root / ".env")["MY_OWN"] == "kept"
    assert dict(dotenv_values(root / ".env", interpolate=False)) == dict(
        dotenv_values(stream=io.StringIO(mine), interpolate=False)
    )


def test_comments_of_the_user_stay_when_a_knob_is_added(root):
    initialise(root, quiet)
    (root / ".env").write_text(without((root / ".env").read_text(), "LOG_MAX_FILES") + "# ask Ada before changing\n")
    initialise(root, quiet)
    assert "# ask Ada before changing" in (root / ".env").read_text()


def test_a_quoted_value_of_the_user_means_the_same_after_a_knob_was_added(root):
    initialise(root, quiet)
    (root / ".env").write_text(without((root / ".env").read_text(), "LOG_MAX_FILES") + "MY_OWN='a #b'\n")
    initialise(root, quiet)
    assert dotenv_values(root / ".env")["MY_OWN"] == "a #b"


def test_a_lost_env_file_is_restored_from_its_copy(root, make_database):
    initialise(root, quiet)
    make_database()
    before = (root / ".env").read_bytes()
    (root / ".env").unlink()
    told: list[str] = []
    initialise(root, told.append)
    assert (root / ".env").read_bytes() == before
    assert told[0] == "restored .env from secrets/env"


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_half_written_env_file_gets_its_secrets_back_from_the_copy(root, share):
    """New secrets would lock everybody out of the data that the old ones protect."""
    before = initialise(root, quiet)
    text = (root / ".env").read_text()
    (root / ".env").write_text(text[: int(len(text) * share)].rpartition("\n")[0] + "\n")
    after = initialise(root, quiet)
    assert {name: after[name] for name in SECRETS} == {name: before[name] for name in SECRETS}


def test_a_lost_env_file_with_data_and_no_copy_is_refused(root, make_database, tree):
    database = make_database()
    before = tree(root)
    with pytest.raises(ConfigurationError, match="holds data made with them") as refused:
        initialise(root, quiet)
    assert str(database) in str(refused.value)
    assert "put .env back from a backup" in str(refused.value)
    assert tree(root) == before


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "FERNET_KEY"])
def test_a_changed_secret_that_data_was_made_with_is_refused_and_its_copy_stays(root, make_database, tree, name):
    old = initialise(root, quiet)[name]
    make_database()
    env = root / ".env"
    env.write_text(env.read_text().replace(old, knobs.KNOBS[name].make()))
    before = tree(root)
    with pytest.raises(
        ConfigurationError, match=f"{name} is not the one that .* was made with: put the one of secrets/env"
    ):
        initialise(root, quiet)
    assert tree(root) == before
    env.write_text((root / "secrets" / "env").read_text())
    assert initialise(root, quiet)[name] == old


def test_without_data_a_changed_secret_is_taken(root):
    old = initialise(root, quiet)["POSTGRES_PASSWORD"]
    (root / ".env").write_text((root / ".env").read_text().replace(old, "another-one"))
    assert initialise(root, quiet)["POSTGRES_PASSWORD"] == "another-one"
    assert (root / "secrets" / "postgres_password").read_text() == "another-one"


def test_an_env_file_behind_a_symbolic_link_stays_one(root, tmp_path):
    initialise(root, quiet)
    elsewhere = tmp_path / "elsewhere.env"
    elsewhere.write_text(without((root / ".env").read_text(), "LOG_MAX_FILES"))
    (root / ".env").unlink()
    (root / ".env").symlink_to(elsewhere)
    initialise(root, quiet)
    assert (root / ".env").is_symlink() and "LOG_MAX_FILES=3" in elsewhere.read_text()


def test_a_bad_value_is_refused_before_anything_is_written(root, tree):
    initialise(root, quiet)
    text = without((root / ".env").read_text(), "LOG_MAX_FILES")
    (root / ".env").write_text(text.replace("\nWORKERS=1\n", "\nWORKERS=many\n"))
    before = tree(root)
    with pytest.raises(ConfigurationError, match="WORKERS cannot be 'many'"):
        initialise(root, quiet)
    assert tree(root) == before


def test_the_index_address_of_the_builder_is_kept_as_a_build_secret(root, monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text("certificate\n")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://user:hidden@index.example/simple")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    settings = initialise(root, quiet)
    assert (settings.secrets / "index_url").read_text() == "https://user:hidden@index.example/simple"
    assert (settings.secrets / "ca_bundle").read_text() == "certificate\n"
    assert "hidden" not in (root / ".env").read_text()


def test_a_taken_port_is_replaced_by_a_free_one_and_told(root):
    wanted = int(knobs.KNOBS["POSTGRES_PORT"].default)
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", wanted))
            holder.listen()
        except OSError:
            pass  # Taken by somebody else, which serves as well.
        told: list[str] = []
        chosen = fitted(root, told.append)
    assert int(chosen["POSTGRES_PORT"]) > wanted
    assert f"port {wanted} is taken: POSTGRES_PORT={chosen['POSTGRES_PORT']}" in told
    ports = [
        chosen[name]
        for name in ("AIRFLOW_PORT", "FLOWER_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "POSTGRES_PORT", "VALKEY_PORT")
    ]
    assert len(set(ports)) == 6

"""Reading `.env`: every way it can be wrong is one line that names the knob and the cure, and shows no secret."""

import pytest
from dotenv import dotenv_values

from airflow_celery_kit import knobs
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.runtimes.environment import airflow_settings
from airflow_celery_kit.settings import Settings, check, find_root

WRONG = {
    "AIRFLOW_PORT": ("http", "0", "70000", "80 80", "-1"),
    "FLOWER_PORT": ("", "65536"),
    "WORKER_MEMORY": ("4", "4gb", "0g", "four", ""),
    "LOG_MAX_SIZE": ("10", "10 m"),
    "FLOWER_READ_ONLY": ("yes", "True", "1", ""),
    "LOAD_EXAMPLES": ("on",),
    "WORKERS": ("-1", "two", "1.5"),
    "WORKER_CONCURRENCY": ("0",),
    "WORKER_CPUS": ("all",),
    "STOP_GRACE": ("600", "10m", "0s"),
    "KIT_UID": ("0", "root"),
    "IMAGE_SOURCE": ("hub",),
    "COMPOSE_PROJECT_NAME": ("Lake House", ""),
    "BIND_ADDRESS": ("localhost", ""),
    "VALKEY_PASSWORD": ("sh0rt", "with space in it", "dollar$dollar", "quote'quote"),
}


def refusal(root, text: str) -> str:
    """What `Settings.load` says about a checkout with this `.env`."""
    (root / ".env").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(root)
    return str(refused.value)


def test_a_good_file_gives_every_knob(settings, values):
    assert dict(settings.values) == values
    assert settings.number("STOP_GRACE") == 600


def test_a_missing_file_names_the_command_that_makes_it(root):
    with pytest.raises(ConfigurationError, match="is missing: run 'make' or 'kit init' first"):
        Settings.load(root)


@pytest.mark.parametrize("name", knobs.KNOBS)
def test_a_missing_knob_is_named_with_its_cure(root, values, name):
    said = refusal(root, knobs.render(values).replace(f"\n{name}={values[name]}\n", "\n"))
    assert said == f"{root / '.env'} lacks {name}: run 'kit init', it adds what is missing and keeps the rest"


@pytest.mark.parametrize("share", [0.03, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_half_written_file_is_one_line(root, values, share):
    text = knobs.render(values)
    said = refusal(root, text[: int(len(text) * share)])
    assert " lacks " in said
    assert "kit init" in said
    assert len(said.splitlines()) == 1


def test_a_file_cut_within_a_name_is_refused(root, values):
    text = knobs.render(values)
    assert "lacks FERNET_KEY" in refusal(root, text[: text.index("FERNET_KEY=") + 6])


@pytest.mark.parametrize("name", [knob.name for knob in knobs.KNOBS.values() if knob.secret])
def test_an_empty_secret_is_named_with_its_cure(root, values, name):
    said = refusal(root, knobs.render(values | {name: ""}))
    assert f"secret {name} is empty" in said
    assert "put the old value back" in said


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, wrong in WRONG.items() for value in wrong])
def test_a_bad_value_is_one_line_with_the_knob_and_an_example(root, values, name, value):
    said = refusal(root, knobs.render(values | {name: value}))
    assert name in said
    assert knobs.KNOBS[name].help in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "\x00", "hello", "=\n=\n"])
def test_a_file_without_sense_is_one_line(root, text):
    assert len(refusal(root, text).splitlines()) == 1


def test_a_file_that_is_no_text_is_refused_like_any_other(root, values):
    (root / ".env").write_bytes(knobs.render(values).encode() + b"\nNOTE=caf\xe9\n")
    with pytest.raises(ConfigurationError):
        Settings.load(root)


def test_no_refusal_shows_a_secret(root, values):
    for name in (knob.name for knob in knobs.KNOBS.values() if knob.secret):
        bad = f"{values[name]} $bad"
        with pytest.raises(ConfigurationError) as refused:
            check(values | {name: bad}, root / ".env")
        assert not [value for value in (*values.values(), bad) if len(value) > 20 and value in str(refused.value)]


def test_settings_show_no_secret_of_themselves(settings, values):
    assert not [
        name for name, knob in knobs.KNOBS.items() if knob.secret and values[name] in f"{settings!r} {settings}"
    ]


@pytest.mark.parametrize(
    ("bind", "url"),
    [("0.0.0.0", "http://127.0.0.1:8080"), ("10.1.2.3", "http://10.1.2.3:8080"), ("::1", "http://[::1]:8080")],
)
def test_the_address_for_a_browser_follows_the_bind_address(root, values, bind, url):
    assert Settings(root, values | {"BIND_ADDRESS": bind, "AIRFLOW_PORT": "8080"}).url("AIRFLOW_PORT") == url


def test_the_checkout_is_found_from_a_folder_within_and_by_kit_root(root, tmp_path, monkeypatch):
    assert find_root(root / "config") == root
    with pytest.raises(ConfigurationError, match="not in a checkout of the kit: change to its folder or set KIT_ROOT"):
        find_root(tmp_path)
    monkeypatch.setenv("KIT_ROOT", str(root))
    assert find_root(tmp_path) == root


@pytest.mark.parametrize("profile", ["latency", "balanced", "economy"])
def test_every_profile_sets_the_same_settings_and_nothing_that_stands_elsewhere(repository, profile):
    def names(file: str) -> set[str]:
        return set(dotenv_values(repository / "config" / file, interpolate=False))

    assert names(f"profiles/{profile}.env") == names("profiles/balanced.env")
    assert not names(f"profiles/{profile}.env") & names("airflow.env")


def test_a_profile_reaches_the_services(repository, tmp_path):
    values = {name: knob.default for name, knob in knobs.KNOBS.items()} | {"KIT_PROFILE": "economy"}
    found = airflow_settings(Settings(repository, values))
    assert (found["KIT_LOOK_SECONDS"], found["KIT_REST_SECONDS"]) == ("5", "10")
    assert found["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"

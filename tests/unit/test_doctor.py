"""`kit doctor` names cause and cure of what is wrong, and never falls over it."""

import json

import pytest

from airflow_celery_kit import doctor, knobs, secret_files

BROKEN = {
    "missing": (None, "is missing: run 'make' or 'kit init' first"),
    "empty": ("", "lacks"),
    "cut": (knobs.render({})[:1500], "lacks"),
    "no secrets": (knobs.render({}), "is empty: put the old value back"),
}


def subjects(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    """Findings by what they are about."""
    return {finding.subject: finding for finding in findings}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_env_file_is_a_finding_and_not_an_error(root, name):
    text, said = BROKEN[name]
    if text is not None:
        (root / ".env").write_text(text)
    found = subjects(doctor.examine(root, "embedded"))
    assert not found["settings"].fine
    assert said in found["settings"].text
    assert set(found) == {"machine", "settings"}


def test_secrets_that_differ_are_named_with_the_cure(settings):
    secret_files.write(settings)
    (settings.secrets / "jwt_secret").write_text("changed")
    found = subjects(doctor.examine(settings.root, "embedded"))
    assert found["settings"].fine
    assert found["secrets"].text == "jwt_secret differ from .env: run 'kit init'"


def test_a_stack_that_is_down_is_no_fault(settings):
    secret_files.write(settings)
    found = subjects(doctor.examine(settings.root, "embedded"))
    assert (found["stack"].fine, found["stack"].text) == (True, "not up; start it with 'kit up'")
    assert found["secrets"].fine


@pytest.mark.usefixtures("without_engine")
def test_a_missing_engine_is_a_fault_for_compose_alone(settings):
    assert subjects(doctor.examine(settings.root, "embedded"))["Docker"].fine
    asked_for = doctor._engine("compose")
    assert not asked_for.fine
    assert "install Docker Engine, or use RUNTIME=embedded" in asked_for.text


def test_the_command_ends_with_4_and_prints_json(root, kit, tree):
    (root / ".env").write_text(knobs.render({})[:1500])
    before = tree(root)
    ended = kit(root, "doctor", "--json")
    assert ended.returncode == 4
    by_subject = {one["subject"]: one for one in json.loads(ended.stdout)}
    assert by_subject["settings"]["fine"] is False
    assert tree(root) == before


@pytest.mark.usefixtures("without_engine")
def test_doctor_says_so_when_compose_is_wanted_without_an_engine(settings, kit):
    ended = kit(settings.root, "--runtime", "compose", "doctor")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 4
    assert "FAIL Docker: there is no docker command" in ended.stdout


def test_no_finding_shows_a_secret(settings, values):
    secret_files.write(settings)
    text = str([finding.as_dict() for finding in doctor.examine(settings.root, "embedded")])
    assert not [name for name, knob in knobs.KNOBS.items() if knob.secret and values[name] in text]


BREAKER = "breakers:\n  crm:\n    health: {check: nosuch, unhealthy: 2}\n"


def test_a_breaker_by_a_check_of_nobody_is_a_finding_and_a_warning_of_the_check_of_the_file(settings, kit):
    secret_files.write(settings)
    path = settings.root / "config" / "limits.yaml"
    path.write_text(BREAKER)
    said = "config/limits.yaml, line 3, column 14: breakers.crm.health.check: there is no health check nosuch"
    found = subjects(doctor.examine(settings.root, "embedded"))["limits"]
    assert (found.fine, found.text.startswith(said)) == (False, True)
    ended = kit(settings.root, "limits", "check")
    assert (ended.returncode, ended.stdout) == (0, "config/limits.yaml can be used: 0 limits, 1 breaker\n")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(said) and "broker" in line


def test_where_own_checks_are_named_and_nobody_says_which_they_are_no_check_is_called_unknown(settings):
    path = settings.root / "config" / "limits.yaml"
    path.write_text(BREAKER)
    settings.env_file.write_text(settings.env_file.read_text().replace("HEALTH_CHECKS=", "HEALTH_CHECKS=mine.checks"))
    assert subjects(doctor.examine(settings.root, "embedded"))["limits"].fine

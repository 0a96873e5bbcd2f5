"""Bad input to the real `kit`: one line on standard error with the cure, the right exit code, and nothing changed."""

import json

import pytest

from airflow_celery_kit import errors, knobs

BAD_CONF = ["{", "[1]", "size=3"]


def refused(ended, code: int, *words: str) -> None:
    """The command said one line with `words` and ended with `code`."""
    assert ended.returncode == code, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("kit: ")
    assert [word for word in words if word not in line] == []
    assert ended.stdout == ""


@pytest.fixture
def unchanged(settings, tree):
    """The checkout of a test whose every byte must be as it was at the end."""
    before = tree(settings.root)
    yield settings.root
    assert tree(settings.root) == before


def test_outside_a_checkout(kit, tmp_path):
    for command in (["status"], ["init"], ["up"]):
        refused(kit(tmp_path, *command), 3, "is not in a checkout of the kit", "change to its folder or set KIT_ROOT")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["status"], ["scale", "2"], ["run", "chains"]], ids=" ".join)
def test_without_an_env_file(kit, root, tree, command):
    before = tree(root)
    refused(kit(root, *command), 3, ".env is missing", "kit init")
    assert tree(root) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"VALKEY_PASSWORD": ""}, ("secret VALKEY_PASSWORD is empty", "kit init")),
        ({"WORKERS": "many"}, ("WORKERS cannot be 'many'", "such as 1")),
        ({"AIRFLOW_PORT": "http"}, ("AIRFLOW_PORT cannot be 'http'", "such as 8080")),
        ({"COMPOSE_PROJECT_NAME": "[bold]x"}, ("COMPOSE_PROJECT_NAME cannot be '[bold]x'",)),
    ],
)
def test_a_bad_value_in_the_env_file(kit, root, values, tree, change, words):
    (root / ".env").write_text(knobs.render(values | change))
    before = tree(root)
    refused(kit(root, "up"), 3, *words)
    assert tree(root) == before


@pytest.mark.parametrize("command", [["status"], ["doctor"]], ids=" ".join)
def test_an_unknown_runtime(kit, unchanged, command):
    refused(kit(unchanged, *command, RUNTIME="podman"), 2, "RUNTIME cannot be 'podman'", "compose or embedded")


@pytest.mark.usefixtures("without_engine")
def test_an_unknown_runtime_is_noticed_by_up_before_it_writes(kit, root, tree):
    before = tree(root)
    refused(kit(root, "up", RUNTIME="podman"), 2, "RUNTIME cannot be 'podman'")
    assert tree(root) == before


@pytest.mark.usefixtures("without_engine")
@pytest.mark.parametrize(
    "command", [["status"], ["down"], ["up"], ["logs"], ["scale", "2"], ["drain"], ["resume"]], ids=" ".join
)
def test_compose_without_an_engine_whatever_is_asked(kit, unchanged, command):
    refused(kit(unchanged, *command, RUNTIME="compose"), 4, "there is no docker command", "RUNTIME=embedded")


@pytest.mark.parametrize("text", BAD_CONF)
def test_parameters_of_a_run_that_are_no_json_object(kit, unchanged, text):
    refused(kit(unchanged, "run", "chains", "--conf", text), 2, "--conf", "JSON", "like")


def test_removing_data_is_meant_only_with_yes_or_an_answer(kit, unchanged):
    refused(kit(unchanged, "down", "--delete-data"), 2, "add --yes to mean it")


@pytest.mark.parametrize(
    "command",
    [
        ["scale", "2"],
        ["stop", "nonsense"],
        ["kill", "valkey-1"],
        ["drain"],
        ["drain", "airflow-worker-1", "--json"],
        ["resume"],
        ["run", "chains"],
        ["airflow", "version"],
        ["housekeeping", "--dry-run"],
        ["housekeeping", "--json"],
    ],
    ids=" ".join,
)
def test_a_stack_that_is_not_up(kit, unchanged, command):
    refused(kit(unchanged, *command), 5, "the stack is not up", "run 'kit up'")


@pytest.mark.parametrize("command", [["logs"], ["logs", "--follow"]], ids=" ".join)
def test_logs_of_a_stack_that_never_was_up(kit, unchanged, command):
    refused(kit(unchanged, *command), 5, "the stack is not up")


def test_logs_are_searched_across_services_and_rotated_files_in_the_order_of_time(kit, settings):
    folder = settings.var / "log"
    folder.mkdir(parents=True)
    line = "2026-01-31T12:0{}:00Z [{:<9}] {}\n".format
    (folder / "airflow-scheduler-1.log.1").write_text(line(1, "error", "Broker away") + "Traceback:\n")
    (folder / "airflow-scheduler-1.log").write_text(line(5, "info", "broker there") + line(6, "warning", "slow"))
    (folder / "airflow-worker-1.log").write_text(line(3, "warning", "the BROKER is slow"))

    def found(*options: str) -> list[tuple[str, str]]:
        said = json.loads(kit(settings.root, "logs", "--json", *options).stdout)
        return [(one["instance"], one["text"].splitlines()[0]) for one in said]

    scheduler, worker = "airflow-scheduler-1", "airflow-worker-1"
    of_broker = [(scheduler, "Broker away"), (worker, "the BROKER is slow"), (scheduler, "broker there")]
    assert found("--search", "broker") == of_broker
    assert found("--search", "broker", "--level", "warning") == of_broker[:2]
    assert found("--since", "2026-01-31T12:02Z", "--until", "2026-01-31T12:05Z") == of_broker[1:]
    assert found("airflow-scheduler", "--level", "error") == of_broker[:1]
    assert found("--since", "1h") == []
    for more in ([], ["--json"]):
        nothing = kit(settings.root, "logs", "--search", "no such words", *more)
        assert (nothing.returncode, nothing.stdout) == (1, "[]\n" if more else "")
        assert nothing.stderr == "Nothing in the logs fits.\n"
    shown = kit(settings.root, "logs", "--search", "traceback").stdout
    assert "error    airflow-scheduler-1 | Broker away\nTraceback:\n" in shown


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("", "it is empty: say in a few words why"),
        ("  ", "it is empty"),
        ("x" * 501, "it has 501 characters: write 500 or fewer"),
    ],
)
@pytest.mark.parametrize("command", [["breakers", "trip", "crm"], ["limits", "suspend", "crm"]], ids=" ".join)
def test_a_reason_that_is_none_is_refused_with_the_cure(kit, unchanged, command, reason, words):
    refused(kit(unchanged, *command, "--reason", reason), 2, "--reason", words)


def test_a_search_that_cannot_be_made_says_why(kit, settings):
    (settings.var / "log").mkdir(parents=True)
    (settings.var / "log" / "valkey-1.log").write_text("ready\n")
    refused(kit(settings.root, "logs", "--since", "soon"), 2, "--since soon is no time", "15m")
    refused(kit(settings.root, "logs", "-f", "--search", "x"), 2, "--follow shows what comes")


def test_logs_of_an_unknown_instance(kit, settings):
    (settings.var / "log").mkdir(parents=True)
    (settings.var / "log" / "valkey-1.log").write_text("ready\n")
    refused(kit(settings.root, "logs", "redis"), 2, "there is no 'redis'", "valkey-1")
    refused(kit(settings.root, "logs", "valkey-1", "redis"), 2, "there is no 'redis'", "valkey-1")
    assert kit(settings.root, "logs", "valkey").stdout == "valkey-1 | ready\n"


def test_the_status_of_a_stack_that_is_down_is_honest(kit, unchanged):
    ended = kit(unchanged, "status", "--json")
    assert ended.returncode == 5
    said = json.loads(ended.stdout)
    assert (said["runtime"], said["ready"], said["reasons"]) == (
        "embedded",
        False,
        ["the stack is not up: run 'kit up'"],
    )


@pytest.mark.parametrize(
    "command",
    [
        ["scale", "-1"],
        ["frobnicate"],
        ["up", "--workers", "x"],
        ["resume", "--timeout", "soon"],
        ["workflows", "list", "--state", "bogus"],
    ],
    ids=" ".join,
)
def test_usage_errors_end_with_2_and_change_nothing(kit, unchanged, command):
    ended = kit(unchanged, *command)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1 and "--help" in ended.stderr


@pytest.mark.parametrize("command", [[], ["tasks"], ["journal"], ["workers"]], ids=" ".join)
def test_a_group_without_a_command_says_its_help_as_it_is(kit, unchanged, command):
    ended, asked = kit(unchanged, *command), kit(unchanged, *command, "--help")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.strip() == asked.stdout.strip() and ended.stderr.startswith("Usage: ")


def test_every_kind_of_error_has_an_exit_code_of_its_own():
    kinds = errors.KitError.__subclasses__()
    codes = [kind.exit_code for kind in kinds]
    assert len(kinds) == 6 and len(set(codes)) == 6
    assert min(codes) > errors.KitError.exit_code > 0

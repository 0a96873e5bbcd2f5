"""Names of services and instances, free ports, and what a machine must have."""

import socket
from dataclasses import replace

import pytest

from airflow_celery_kit import env_file
from airflow_celery_kit.errors import BadInputError, MachineError, NotRunningError
from airflow_celery_kit.machine import GIB, Machine
from airflow_celery_kit.runtimes import ports, services
from airflow_celery_kit.runtimes.embedded import Embedded
from airflow_celery_kit.settings import Settings

RUNNING = ["postgres-1", "airflow-scheduler-1", "airflow-worker-1", "airflow-worker-2", "airflow-worker-heavy-1"]
GOOD = Machine("x86_64", (3, 12), 8 * GIB, 50 * GIB)


@pytest.fixture
def listener():
    """A port that a real server holds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("instance", "service"),
    [
        ("airflow-worker-2", "airflow-worker"),
        ("airflow-worker-heavy-1", "airflow-worker-heavy"),
        ("valkey", "valkey"),
        ("postgres-12", "postgres"),
    ],
)
def test_an_instance_belongs_to_its_service(instance, service):
    assert services.service_of(instance) == service


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("airflow-worker-2", "airflow-worker-2"),
        ("airflow-scheduler", "airflow-scheduler-1"),
        ("airflow-worker-heavy", "airflow-worker-heavy-1"),
    ],
)
def test_a_name_means_an_instance_or_a_service_that_has_one(named, meant):
    assert services.resolve(named, RUNNING) == meant


def test_a_service_of_many_instances_is_ambiguous_and_says_which_there_are():
    with pytest.raises(
        BadInputError, match="airflow-worker has 2 instances: name one of airflow-worker-1, airflow-worker-2$"
    ):
        services.resolve("airflow-worker", RUNNING)


@pytest.mark.parametrize("name", ["airflow-work", "worker", "airflow-worker-3", "", "airflow-scheduler-1-1"])
def test_an_unknown_name_is_refused_with_what_there_is(name):
    with pytest.raises(BadInputError, match="postgres-1, airflow-scheduler-1"):
        services.resolve(name, RUNNING)


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ([], RUNNING[2:]),
        (["airflow-worker"], RUNNING[2:4]),
        (["airflow-worker-heavy"], RUNNING[4:]),
        (["airflow-worker-heavy-1", "airflow-worker-2", "airflow-worker-2"], RUNNING[3:]),
    ],
)
def test_workers_are_named_by_instance_or_service_and_all_are_meant_by_none(named, meant):
    assert services.workers(named, RUNNING) == meant


@pytest.mark.parametrize("name", ["postgres", "airflow-scheduler-1"])
def test_what_is_no_worker_is_refused_with_the_workers_there_are(name):
    with pytest.raises(BadInputError, match=f"{name} is no worker: name one of {', '.join(RUNNING[2:])}, or none"):
        services.workers(["airflow-worker-1", name], RUNNING)


@pytest.mark.parametrize("name", ["airflow-worker-3", "worker", ""])
def test_an_unknown_worker_is_refused_with_the_workers_there_are(name):
    with pytest.raises(BadInputError, match=f"there is no '{name}': name one of {', '.join(RUNNING[2:])}$"):
        services.workers([name], RUNNING)


def test_a_stack_without_workers_says_how_to_get_one():
    with pytest.raises(NotRunningError, match="there is no worker: 'kit scale 1' starts one"):
        services.workers([], RUNNING[:2])


def test_servers_come_first_and_workers_as_many_as_wanted(settings):
    wanted = Settings(settings.root, {**settings.values, "WORKERS": "3"})
    names = services.instances(wanted)
    assert names[:2] == ["postgres-1", "valkey-1"]
    assert [name for name in names if "worker" in name] == [
        "airflow-worker-1", "airflow-worker-2", "airflow-worker-3", "airflow-worker-heavy-1",
    ]  # fmt: skip
    assert len(names) == len(set(names))


def test_no_workers_and_no_heavy_worker_are_possible(settings):
    names = services.instances(Settings(settings.root, {**settings.values, "WORKERS": "0", "COMPOSE_PROFILES": ""}))
    assert not [name for name in names if "worker" in name]


def test_two_workers_share_nothing_that_names_them(settings):
    one, two = (services.environment_of(settings, f"airflow-worker-{n}", {}) for n in (1, 2))
    assert {key for key in one if one[key] != two[key]} == {"KIT_INSTANCE", "KIT_BEAT_FILE"}
    assert services.command_of(settings, "airflow-worker-2")[-1] == "airflow-worker-2"


def test_a_free_port_is_taken_as_it_is(free_port):
    port = free_port()
    assert ports.is_free(port)
    assert ports.next_free(port) == port


def test_a_bound_port_is_passed_over_and_so_is_one_that_is_promised(listener):
    assert not ports.is_free(listener)
    found = ports.next_free(listener)
    assert listener < found < listener + ports.SEARCHED
    assert ports.next_free(listener, taken=frozenset({found})) > found


def test_a_port_that_moves_takes_none_that_another_knob_names(settings, listener):
    promised = ports.next_free(listener)
    chosen = env_file.record(settings, {"AIRFLOW_PORT": str(listener), "PROMETHEUS_PORT": str(promised)})
    Embedded(chosen)._find_ports(lambda _: None)
    again = Settings.load(chosen.root)
    assert again.number("AIRFLOW_PORT") > promised == again.number("PROMETHEUS_PORT")


def test_a_port_bound_on_all_addresses_is_not_free_on_loopback():
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_running_out_of_ports_is_said():
    with socket.create_server(("127.0.0.1", 0)):
        everything = frozenset(range(65000, 65536))
        with pytest.raises(OSError, match="no free port in 65000"):
            ports.next_free(65000, taken=everything)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (replace(GOOD, memory=GIB), r"only 1\.0 GiB of memory are free, 2 are needed: stop something or add memory"),
        (replace(GOOD, disk=GIB // 2), r"only 0\.5 GiB of disk are free, 2 are needed: make room"),
        (replace(GOOD, architecture="riscv64"), "riscv64 is not supported: use a machine with x86_64 or aarch64"),
        (replace(GOOD, python=(3, 10)), "Python 3.10 is not supported: use 3.11 to 3.13"),
        (replace(GOOD, python=(3, 14)), "Python 3.14 is not supported"),
    ],
)
def test_what_a_machine_lacks_is_one_line_with_its_cure(bad, said):
    assert len(bad.problems()) == 1
    with pytest.raises(MachineError, match=said):
        bad.require()


def test_a_machine_that_lacks_everything_hears_all_of_it():
    assert len(Machine("sparc", (2, 7), 0, 0).problems()) == 4


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13)])
def test_a_good_machine_has_no_problems(python):
    replace(GOOD, python=python).require()


def test_this_machine_is_looked_at_for_real(tmp_path):
    here = Machine.here(tmp_path)
    assert here.memory > 0 and here.disk > 0
    assert (3, 11) <= here.python <= (3, 13)

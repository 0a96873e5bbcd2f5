"""How busy a worker is: against the machine, and against the limit of its own control group, in both versions of these."""

import psutil
import pytest

from airflow_celery_kit.worker import cpu
from airflow_celery_kit.worker.cpu import Cpu, limit, used_seconds


def group(folder, version: int, quota: str, used: float):
    """The files of a control group that may use `quota` of 100 ms and has used so many CPU seconds."""
    for name in ("cpu", "cpuacct"):
        (folder / name).mkdir(exist_ok=True)
    if version == 2:
        (folder / "cpu.max").write_text(f"{quota} 100000\n")
        (folder / "cpu.stat").write_text(f"usage_usec {round(used * 1e6)}\nuser_usec 1\n")
    else:
        (folder / "cpu/cpu.cfs_quota_us").write_text(f"{quota.replace('max', '-1')}\n")
        (folder / "cpu/cpu.cfs_period_us").write_text("100000\n")
        (folder / "cpuacct/cpuacct.usage").write_text(f"{round(used * 1e9)}\n")
    return folder


@pytest.fixture
def machine(monkeypatch):
    """Sets how busy the machine is, in percent."""
    return lambda percent: monkeypatch.setattr(psutil, "cpu_percent", lambda: percent)


@pytest.mark.parametrize("version", [1, 2])
def test_a_worker_that_uses_up_its_own_limit_is_busy_on_an_idle_machine(tmp_path, machine, version):
    machine(10.0)
    clock = iter([100.0, 104.0, 108.0])
    measured = Cpu(group(tmp_path, version, "200000", used=50.0), lambda: next(clock))
    group(tmp_path, version, "200000", used=57.2)
    assert measured.busy() == 0.9
    assert measured.busy() == 0.1


def test_a_machine_that_is_full_makes_every_worker_busy(tmp_path, machine):
    machine(97.0)
    assert Cpu(group(tmp_path, 2, "400000", used=1.0)).busy() == 0.97


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_limit_the_machine_alone_counts(tmp_path, machine, version):
    machine(20.0)
    assert limit(group(tmp_path, version, "max", used=5.0)) == 0.0
    measured = Cpu(tmp_path)
    group(tmp_path, version, "max", used=500.0)
    assert measured.busy() == 0.2


def test_where_no_control_group_is_seen_nothing_is_limited(tmp_path):
    assert (limit(tmp_path), used_seconds(tmp_path)) == (0.0, 0.0)
    assert 0 <= Cpu(tmp_path).busy() <= 1
    assert cpu.used_seconds() >= 0

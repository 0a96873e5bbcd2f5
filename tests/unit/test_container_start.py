"""A container refuses to start without its secrets, as itself and as a real process."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_celery_kit.runtimes.container_start import unusable


def as_nobody(look: Callable[[], object]) -> str:
    """What `look` returns in a process of another user, as text."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            return said.read()
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.write(writing, str(look()).encode())
    os._exit(0)


@pytest.fixture
def secrets(tmp_path):
    """A folder of three good secrets that everybody may look into."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("valkey_password", "jwt_secret", "fernet_key"):
        (folder / name).write_text("something")
    return folder


def test_good_secrets_are_usable(secrets):
    assert unusable(secrets.iterdir()) == []
    assert unusable(()) == []


def test_empty_missing_and_dangling_secrets_are_named_in_order(secrets):
    (secrets / "valkey_password").write_text("")
    (secrets / "fernet_key").unlink()
    (secrets / "fernet_key").symlink_to(secrets / "nowhere")
    assert unusable([*secrets.iterdir(), secrets / "zz_absent"]) == ["fernet_key", "valkey_password", "zz_absent"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_secret_of_somebody_else_is_not_readable_for_the_containers_user():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name, mode in (("jwt_secret", 0o600), ("valkey_password", 0o644)):
            Path(folder, name).write_text("something")
            Path(folder, name).chmod(mode)
        assert as_nobody(lambda: unusable(Path(folder).iterdir())) == "['jwt_secret']"


def test_a_process_starts_its_command_under_its_own_name():
    """Outside a container there is no /run/secrets, and the name is the host's where no name server knows better."""
    code = "import os, sys; print(os.environ['KIT_INSTANCE'] == sys.argv[1], open('/tmp/kit-instance').read() == sys.argv[1])"
    own_tmp = (
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/up /mnt/work"
        " && mount -t overlay overlay -o lowerdir=/tmp,upperdir=/mnt/up,workdir=/mnt/work /tmp"
        ' && exec "$@"'
    )
    command = ["unshare", "--mount", "sh", "-c", own_tmp, "sh"]
    start = [
        sys.executable,
        "-m",
        "airflow_celery_kit.runtimes.container_start",
        sys.executable,
        "-c",
        code,
        "{instance}",
    ]
    if os.geteuid() != 0 or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a /tmp of its own, which only root can mount")
    said = subprocess.run([*command, *start], capture_output=True, text=True, check=False, timeout=30)
    assert said.stdout.strip() == "True True", said.stderr


def test_a_first_start_on_a_full_disk_waits_until_its_name_can_be_kept():
    """Health checks read the name there; under another one they would look for somebody else."""
    full_tmp = (
        "mount -t tmpfs -o size=256k tmpfs /mnt && mkdir /mnt/up /mnt/work && { head -c 1m /dev/zero > /mnt/filler 2> /dev/null || true; }"
        " && mount -t overlay overlay -o lowerdir=/tmp,upperdir=/mnt/up,workdir=/mnt/work /tmp"
        ' && exec "$@"'
    )
    command = ["unshare", "--mount", "sh", "-c", full_tmp, "sh"]
    if os.geteuid() != 0 or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a /tmp of its own, which only root can mount")
    code = "import os; print(os.environ['KIT_INSTANCE'] == open('/tmp/kit-instance').read())"
    start = [sys.executable, "-m", "airflow_celery_kit.runtimes.container_start", sys.executable, "-c", code]
    with subprocess.Popen([*command, *start], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        line = started.stderr.readline()
        assert "/tmp/kit-instance" in line and "No space left on device" in line and "the start waits for room" in line
        os.unlink(f"/proc/{started.pid}/root/mnt/filler")
        assert (started.stdout.read(), started.wait(30), started.stderr.read()) == ("True\n", 0, "")

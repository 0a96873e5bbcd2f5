"""Changing `.env`: only the line that is meant changes, and no failure leaves half a file."""

import os
import subprocess

import pytest

from airflow_celery_kit import env_file, knobs
from airflow_celery_kit.settings import Settings


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 16 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tiny file system")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ, old and new."""
    return [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]


def test_only_the_meant_lines_change(settings):
    before = settings.env_file.read_text()
    env_file.record(settings, {"WORKERS": "5", "AIRFLOW_PORT": "18080"})
    after = settings.env_file.read_text()
    assert changed_lines(before, after) == [
        (f"AIRFLOW_PORT={settings['AIRFLOW_PORT']}", "AIRFLOW_PORT=18080"),
        ("WORKERS=1", "WORKERS=5"),
    ]
    assert Settings.load(settings.root)["WORKERS"] == "5"


def test_a_knob_whose_name_ends_like_another_stays(settings):
    env_file.record(settings, {"WORKER_MEMORY": "9g"})
    assert Settings.load(settings.root)["HEAVY_WORKER_MEMORY"] == "4g"


def test_a_value_with_a_backslash_or_group_is_taken_literally(settings):
    env_file.record(settings, {"BASE_IMAGE": r"a\1\g<0>b"})
    assert "BASE_IMAGE=a\\1\\g<0>b\n" in settings.env_file.read_text()


def test_a_name_that_is_not_there_gets_a_line_of_its_own(settings):
    before = settings.env_file.read_text().rstrip("\n")
    settings.env_file.write_text(before)
    env_file.record(settings, {"NEW_NAME": "1"})
    assert settings.env_file.read_text().splitlines() == [*before.splitlines(), "NEW_NAME=1"]


@pytest.mark.parametrize("line", ["export WORKERS=1", "  WORKERS=1", "WORKERS = 1"])
def test_a_knob_written_another_legal_way_is_changed_too(settings, line):
    settings.env_file.write_text(settings.env_file.read_text().replace("\nWORKERS=1\n", f"\n{line}\n"))
    env_file.record(settings, {"WORKERS": "5"})
    assert Settings.load(settings.root)["WORKERS"] == "5"


def test_the_file_stays_its_owners_alone(settings):
    settings.env_file.chmod(0o644)
    env_file.record(settings, {"WORKERS": "5"})
    assert settings.env_file.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_file_whole(tiny_disk, values):
    settings = Settings(tiny_disk, values)
    env_file.write(settings.env_file, knobs.render(values))
    before = settings.env_file.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        env_file.record(settings, {"NOTE": "x" * 20_000})
    assert settings.env_file.read_bytes() == before
    assert [path.name for path in tiny_disk.iterdir()] == [".env"]


def test_a_disk_that_is_full_already_leaves_the_old_file_whole(tiny_disk, values):
    settings = Settings(tiny_disk, values)
    env_file.write(settings.env_file, knobs.render(values))
    before = settings.env_file.read_bytes()
    with pytest.raises(OSError, match="No space left"), (tiny_disk / "filler").open("wb") as filler:
        filler.write(bytes(100_000))
    with pytest.raises(OSError, match="No space left"):
        env_file.record(settings, {"WORKERS": "5"})
    assert settings.env_file.read_bytes() == before
    assert {path.name for path in tiny_disk.iterdir()} == {".env", "filler"}

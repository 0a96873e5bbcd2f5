"""The table of knobs: what `.env.example` shows, and what `kit init` generates."""

import re

import pytest
from cryptography.fernet import Fernet
from dotenv import dotenv_values

from airflow_celery_kit import knobs
from airflow_celery_kit.runtimes.images import BASE_IMAGES

SECRETS = [knob for knob in knobs.KNOBS.values() if knob.secret]
PLAIN = [knob for knob in knobs.KNOBS.values() if not knob.secret]


def named(knob: knobs.Knob) -> str:
    return knob.name


def test_the_example_is_what_the_table_renders(repository):
    assert (repository / ".env.example").read_text() == knobs.render({}), "write it anew with knobs.render({})"


def test_the_example_holds_every_knob_once_with_one_comment(repository):
    lines = (repository / ".env.example").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert names == list(knobs.KNOBS)
    assert all(
        lines[lines.index(f"{knob.name}={knob.default}") - 1] == f"# {knob.help}" for knob in knobs.KNOBS.values()
    )


def test_the_secrets_of_the_issue_are_known_as_secrets():
    assert {knob.name for knob in PLAIN if re.search("PASSWORD|SECRET|_KEY", knob.name)} == set()
    assert len(SECRETS) == 17


@pytest.mark.parametrize("knob", SECRETS, ids=named)
def test_a_secret_is_empty_by_default_and_an_empty_one_is_refused(knob):
    assert knob.default == ""
    assert not re.fullmatch(knob.pattern, "")


@pytest.mark.parametrize("knob", SECRETS, ids=named)
def test_a_generated_secret_passes_its_own_check_and_differs_each_time(knob):
    made = [knob.make() for _ in range(20)]
    assert len(set(made)) == 20
    assert all(re.fullmatch(knob.pattern, value) and len(value) >= 43 for value in made)


@pytest.mark.parametrize("knob", PLAIN, ids=named)
def test_a_default_passes_its_own_check(knob):
    assert re.fullmatch(knob.pattern, knob.default)


def test_the_generated_fernet_key_is_one():
    assert Fernet(knobs.fernet_key().encode())


def test_two_secrets_of_one_file_differ():
    made = [knob.make() for knob in SECRETS]
    assert len(set(made)) == len(made)


def test_what_is_rendered_reads_back_as_it_was(tmp_path, values):
    (tmp_path / ".env").write_text(knobs.render(values))
    assert dotenv_values(tmp_path / ".env", interpolate=False) == values


def test_the_base_image_is_pinned_to_one_release_and_the_same_everywhere(repository):
    image = knobs.KNOBS["BASE_IMAGE"].default
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image)
    assert BASE_IMAGES["registry"] == image
    assert f"FROM ${{BASE_IMAGE:-{image}}} AS base" in (repository / "Dockerfile").read_text()

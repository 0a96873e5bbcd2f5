"""What is counted and what is missing, in words."""

import re

import pytest
from click import Group

from airflow_celery_kit.cli.main import kit
from airflow_celery_kit.core.words import count, missing
from airflow_celery_kit.health import table


@pytest.mark.parametrize(("number", "words"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks")])
def test_one_is_no_plural(number, words):
    assert count(number, "task") == words


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("crn", ["mails", "crm"], "there is no breaker crn: did you mean crm? There are crm, mails"),
        ("nothing", ["crm"], "there is no breaker nothing: the only one is crm"),
        ("nothing", [], "there is no breaker nothing, and no other one: CURE"),
        (
            "nothing",
            [f"{number:02}" for number in range(22)],
            f"there is no breaker nothing: there are {', '.join(f'{number:02}' for number in range(20))} and 2 more",
        ),
    ],
)
def test_what_is_missing_is_told_with_what_there_is_the_nearest_first(name, known, said):
    assert missing("breaker", name, known, "CURE") == said


def test_cures_name_commands_that_exist():
    causes = [cause for kind in (*table.BUILT_IN, *table.FOR_TASKS) for cause in kind.causes.values()]
    named = {found for cause in causes for found in re.findall(r"'kit ([a-z -]+)", cause.cure)}
    assert len(named) > 3
    for words in named:
        command = kit
        for word in words.split():
            if not isinstance(command, Group):
                break
            assert word in command.commands, f"kit {words}"
            command = command.commands[word]

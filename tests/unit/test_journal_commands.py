"""What `kit journal` asks of the controller."""

import json

import pytest
from click.testing import CliRunner

from airflow_celery_kit.cli import journal_commands


@pytest.mark.parametrize(
    ("options", "days", "act"), [([], "45", True), (["--dry-run"], "45", False), (["--days", "7"], "7", True)]
)
def test_what_is_old_is_what_the_settings_say_unless_the_caller_does(monkeypatch, options, days, act):
    asked = []

    class Runtime:
        """Stands in for the runtime of a stack."""

        def ask(self, service, command):
            """Note what is asked."""
            asked.append((service, command))
            return json.dumps({"before": "2026-01-31T00:00:00", "events": 3, "tasks": 2, "workflows": 1})

    monkeypatch.setattr(journal_commands, "opened", lambda choice: ({"JOURNAL_DAYS": "45"}, Runtime()))
    ended = CliRunner().invoke(journal_commands.journal, ["prune", *options], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    assert asked == [("airflow-controller", [*journal_commands.PRUNE, days, *(["--act"] if act else [])])]

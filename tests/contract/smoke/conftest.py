"""Runs in: contract tests; one broker for all smoke tests, emptied for each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.smoke import harness


@pytest.fixture(scope="package")
def smoke_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    """A broker that the tests may kill."""
    with harness.running_broker(tmp_path_factory.mktemp("smoke")) as broker:
        yield broker


@pytest.fixture
def bench(smoke_broker: harness.Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[harness.Bench]:
    """An empty broker and no worker yet."""
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(smoke_broker.settings.secrets / "valkey_password"))
    with harness.bench(tmp_path, smoke_broker) as made:
        yield made

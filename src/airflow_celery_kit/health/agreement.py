"""Runs in: airflow-controller; whether services have the same secrets and versions, by what each has said of itself at its start."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.check import Check

# Workers say it in the broker; of the others, those whose heart beats, and the api-server, which has no heartbeat.
QUERY = """
SELECT instance, facts FROM kit.service
WHERE service <> 'salt' AND (service = 'airflow-apiserver' OR EXISTS (
    SELECT 1 FROM job WHERE job.hostname = kit.service.instance AND job.state = 'running'
      AND job.latest_heartbeat > now() - interval '1 min'))
"""
AGAIN = "'kit up' after 'kit init'; a service that was not restarted since has the old one: 'kit stop' it and 'kit up'"


class Agreement(Check):
    """One kind of statement, of every service, compared."""

    needs = ("broker", "metadata")
    every = 20.0
    hangs = State.DEGRADED

    def look(self, broker: Any, metadata: Any) -> Iterable[Finding]:
        """Return one finding for the stack, or one for each service that differs."""
        with metadata, metadata.cursor() as cursor:
            cursor.execute(QUERY)
            services = dict(cursor.fetchall())
        return self.of(services, broker.reports())

    def of(self, services: Mapping[str, Any], workers: Mapping[str, Any]) -> list[Finding]:
        """Return the findings of what services and workers, by name, say."""
        raise NotImplementedError


class Secrets(Agreement):
    """Salted hashes are compared, never secrets; and whether a secret is a default, or readable by every user of a machine."""

    name = "secrets"
    causes: ClassVar = {
        "differs": Cause(
            State.UNHEALTHY,
            "two services have different values of one secret: what one writes the other cannot read",
            AGAIN,
        ),
        "exposed": Cause(
            State.INSECURE,
            "every user of the machine may read the file of a secret",
            "chmod 600 the file: 'kit init' makes it so",
        ),
        "weak": Cause(
            State.INSECURE,
            "a secret is a known default, or shorter than twelve characters",
            "put a generated one into .env: 'kit init' makes one for an empty line",
        ),
    }

    def of(self, services: Mapping[str, Any], workers: Mapping[str, Any]) -> list[Finding]:
        """See `Agreement`. Hashes of workers have another salt, so they are compared among themselves."""
        said = [{name: one.get("secrets", {}) for name, one in group.items()} for group in (services, workers)]
        unequal = [
            text for group in said for text in differences({name: one.get("hashes", {}) for name, one in group.items()})
        ]
        if unequal:
            return [self.ill("differs", "; ".join(unequal))]
        for cause in ("exposed", "weak"):
            named = sorted(
                {f"{what} of {name}" for group in said for name, one in group.items() for what in one.get(cause, ())}
            )
            if named:
                return [self.ill(cause, ", ".join(named))]
        return [self.well(f"{len(services) + len(workers)} services agree")]


class Versions(Agreement):
    """Versions of the kit, Airflow and Celery."""

    name = "versions"
    causes: ClassVar = {
        "differs": Cause(
            State.DEGRADED, "services run different versions of a package", "'kit up', after an upgrade on all machines"
        )
    }

    def of(self, services: Mapping[str, Any], workers: Mapping[str, Any]) -> list[Finding]:
        """See `Agreement`."""
        said = {name: one["versions"] for name, one in {**services, **workers}.items() if one.get("versions")}
        if unequal := differences(said, shown=True):
            return [self.ill("differs", "; ".join(unequal))]
        return [self.well(", ".join(f"{name} {one}" for name, one in next(iter(said.values()), {}).items()))]


def differences(said: Mapping[str, Mapping[str, str]], shown: bool = False) -> list[str]:
    """Return a sentence for each thing of which not all who say it say the same: who differs from most."""
    found = []
    for what in sorted({what for one in said.values() for what in one}):
        values = {who: one[what] for who, one in said.items() if what in one}
        common = Counter(values.values()).most_common(1)[0][0]
        if others := sorted(who for who, value in values.items() if value != common):
            value = (
                f" ({', '.join(sorted({values[who] for who in others}))}, the others have {common})" if shown else ""
            )
            found.append(f"{', '.join(others)}: another {what}{value}")
    return found

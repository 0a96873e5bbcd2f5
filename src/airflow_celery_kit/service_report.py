"""Runs in: scheduler, Dag processor, triggerer and api-server, at their start; says which versions and secrets a service has, for comparison.

Secrets as salted hashes only. Workers, which reach no metadata database, say the same in the broker.
"""

import json
import os

from airflow_celery_kit import instance, secret_facts, versions

SALT = "SELECT facts #>> '{}' FROM kit.service WHERE service = 'salt'"
WRITE = """
INSERT INTO kit.service (service, instance, facts) VALUES (:service, :instance, CAST(:facts AS jsonb))
ON CONFLICT (service, instance) DO UPDATE SET at = excluded.at, facts = excluded.facts
"""


def tell(service: str) -> None:
    """Write what may be said of this process. Raises sqlalchemy.exc.SQLAlchemyError where the tables are not there."""
    from airflow.utils.session import create_session
    from sqlalchemy import text

    with create_session(scoped=False) as session:
        salt = session.scalar(text(SALT)) or ""
        facts = {"versions": versions.installed(), "secrets": secret_facts.about(os.environ, salt)}
        session.execute(text(WRITE), {"service": service, "instance": instance.name(), "facts": json.dumps(facts)})

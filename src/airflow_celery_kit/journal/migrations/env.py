"""Runs in: airflow-init, or a scheduler that is alone, called by Alembic; applies the journal's migrations on the connection that it was given."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="migration", version_table_schema="journal")
with context.begin_transaction():
    context.run_migrations()

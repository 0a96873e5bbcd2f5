"""Runs in: scheduler, Dag processor and api-server; tells one of the kit's own stacks from an Airflow that has the kit installed and no more."""


def is_whole() -> bool:
    """Return whether Airflow runs with the kit's settings; without them it is left as its owner has set it up."""
    from airflow.configuration import conf

    chosen = conf.get("celery", "celery_config_options", fallback="")
    return chosen.startswith("airflow_celery_kit.")

"""Runs in: the command line and airflow-apiserver; pure: what a reason for a change by hand has to be."""

MOST = 500


def flaw(reason: str) -> str:
    """Return what is wrong with a reason and what to write, nothing where it can be kept."""
    if not reason.strip():
        return "it is empty: say in a few words why, whoever waits reads them"
    return f"it has {len(reason)} characters: write {MOST} or fewer" if len(reason) > MOST else ""

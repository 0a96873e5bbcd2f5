"""What Airflow loads of the kit."""

import subprocess
import sys


def test_the_plugin_loads_no_web_framework():
    code = (
        "import sys, airflow_celery_kit.plugin as plugin;"
        "(entry,) = plugin.KitPlugin.fastapi_apps; assert callable(entry['app']);"
        "print([name for name in ('fastapi', 'starlette', 'airflow.api_fastapi', 'prometheus_client') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


def test_airflow_lists_the_plugin():
    from airflow.api_fastapi.core_api.datamodels.plugins import FastAPIAppResponse

    from airflow_celery_kit.plugin import KitPlugin

    (entry,) = KitPlugin.fastapi_apps
    FastAPIAppResponse.model_validate(entry | {"app": type(entry["app"]).__name__})

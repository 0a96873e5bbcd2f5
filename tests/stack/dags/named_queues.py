"""A task in each of two queues that `.env` names."""

from airflow.sdk import dag, task


@dag(schedule=None)
def named_queues():
    for name in ("fast_tasks", "heavy_tasks"):

        @task(task_id=name, queue=name)
        def work() -> None:
            """Do nothing."""

        work()


named_queues()

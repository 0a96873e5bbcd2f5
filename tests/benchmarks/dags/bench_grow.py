"""Three Dags of 100, 400 and 1,600 tasks that do nothing. Four mapped tasks each: one of them may have no more than 1,024."""

from airflow.sdk import DAG
from bench_parts import OPTIONS, nothing

PARTS = 4

for tasks in (100, 400, 1600):
    with DAG(f"bench_grow_{tasks}", **OPTIONS):
        for part in range(PARTS):
            nothing.override(task_id=f"part_{part}").expand(index=list(range(tasks // PARTS)))

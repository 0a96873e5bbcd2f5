"""A run's record has the graph of its Dag as it was when the run was created, and no more of the Dag than that."""

from tests.contract.rest.conftest import DAG, READ, run_once

GRAPH = [
    {"task_id": "after.report", "operator": "EmptyOperator", "upstream": ["load"], "mapped": False, "trigger_rule": "all_success", "group": "after"},
    {"task_id": "extract", "operator": "@task", "upstream": [], "mapped": False, "trigger_rule": "all_success", "group": None},
    {"task_id": "load", "operator": "@task", "upstream": ["extract"], "mapped": True, "trigger_rule": "all_done", "group": None},
]  # fmt: skip


def test_a_run_keeps_the_graph_that_it_was_created_with(server):
    first = server.start()
    assert server.kit(f"/workflows/sales/{first}").json()["graph"] == {"number": 1, "tasks": GRAPH}
    path = server.stack.settings.root / "dags" / "sales.py"
    path.write_text(
        DAG.replace('        report = EmptyOperator(task_id="report")', '        report = EmptyOperator(task_id="sum")')
    )
    try:
        run_once(server.stack.settings, READ)
        second = server.start()
        new = server.kit(f"/workflows/sales/{second}").json()["graph"]
        assert (new["number"], [one["task_id"] for one in new["tasks"]]) == (2, ["after.sum", "extract", "load"])
        assert server.kit(f"/workflows/sales/{first}").json()["graph"] == {"number": 1, "tasks": GRAPH}
    finally:
        path.write_text(DAG)
        run_once(server.stack.settings, READ)
    kept = server.query("SELECT tasks::text FROM journal.graph", database="kit")
    assert len(kept) == 2 and "hush" not in str(kept)
    assert "hush" not in str(server.query("SELECT facts FROM journal.event WHERE kind = 'graph'", database="kit"))


def test_a_graph_outlives_its_dag(server):
    """Airflow deletes runs and versions with a Dag, also of runs that have not ended."""
    ended, open_one = server.start(), server.start()
    server.api.patch(f"/api/v2/dags/sales/dagRuns/{ended}", json={"state": "success"}).raise_for_status()
    server.carry()
    before = server.kit(f"/workflows/sales/{ended}").json()["graph"]
    try:
        server.api.delete("/api/v2/dags/sales").raise_for_status()
        server.carry()
        assert server.query("SELECT count(*) FROM dag_version") == [(0,)]
        for run, state in ((ended, "success"), (open_one, "removed")):
            found = server.kit(f"/workflows/sales/{run}").raise_for_status().json()
            assert (found["state"], found["graph"]) == (state, before) and before["tasks"] == GRAPH
        named = server.kit("/workflows?dag_id=sales").raise_for_status().json()["workflows"]
        assert {ended, open_one} <= {one["run_id"] for one in named}
        assert server.kit("/workflows").json()["workflows"] == []
        nobody = server.user("nobody", "Public").get(f"/kit/v1/workflows/sales/{ended}")
        assert nobody.status_code == 403
    finally:
        run_once(server.stack.settings, READ)

"""A second delivery, to real workers behind the duplicate guard: dropped, acknowledged, and nothing else is disturbed."""

import json

from tests.contract.servers import wait_for

GUARD = {
    "Strategy": "airflow_celery_kit.worker.duplicates:once",
    "Request": "airflow_celery_kit.worker.duplicates:Request",
}


def test_a_second_delivery_to_the_worker_that_runs_its_task_is_dropped_and_the_worker_goes_on(bench):
    worker = bench.start(slots=2, task_annotations={"hold": GUARD})
    bench.hold("a")
    bench.broker.age_deliveries()
    worker.says("was delivered again though its task started here: dropped")
    bench.send("note", "next")
    bench.wait("end", "next")
    bench.open("a")
    bench.wait("end", "a")
    bench.drained()
    assert worker.process.poll() is None
    assert worker.count("Unrecoverable error") == 0
    assert len(bench.receipts("start", "a")) == 1


def test_the_loss_of_a_task_s_process_is_told(bench, tmp_path):
    spool = tmp_path / "spool"
    here = {"KIT_JOURNAL_CONN": "postgresql://nobody@127.0.0.1:1/nothing", "KIT_SPOOL_DIR": str(spool)}
    bench.start(environment=here, task_annotations={"kill_self": GUARD})
    whose = {"task": "0198c1d2-5f2b-7c3a-9d41-0a1b2c3d4e5f", "dag_id": "d", "run_id": "r", "task_id": "t", "attempt": 1}
    bench.send("kill_self", "a", headers={"kit_task": whose})

    def kinds() -> list[str]:
        lines = [line for file in spool.iterdir() for line in file.read_text().split("\n") if line]
        return sorted(json.loads(line)["kind"] for line in lines)

    wait_for("the worker's word", lambda: kinds() == ["broke", "lost", "received", "started"])

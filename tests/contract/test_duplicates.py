"""A second delivery, to real workers behind the duplicate guard: dropped, acknowledged, and nothing else is disturbed."""

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

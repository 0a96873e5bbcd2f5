"""The way of events from files to a real PostgreSQL that is away for a while, with writers that are killed."""

import multiprocessing
import os
import signal
import time

from airflow_celery_kit.core.journal.events import Event, Source, Subject
from airflow_celery_kit.journal.forwarder import REFUSED, Forwarder, SpoolSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.journal.spool import LIVE, Spool
from tests.contract.servers import wait_for

ON_WHEELS_ALONE = True
COUNT = "SELECT count(*), count(DISTINCT id) FROM journal.event"


def say(spool, number):
    """Append one event, and note it as a receipt."""
    spool.append([Event("received", Source.WORKER, time.time(), Subject(dag_id=f"d{number}")).line()])


def forwarder(journal, *spools):
    """What a worker runs, for several."""
    return Forwarder(Sink(journal.address("journal_writer")), [SpoolSupply(spool) for spool in spools], every=0.02)


def test_events_are_carried_on_once_and_their_files_are_gone(journal, tmp_path):
    spool = Spool(tmp_path, "airflow-worker-1")
    for number in range(1200):
        say(spool, number)
    assert forwarder(journal, spool).turn()
    assert journal.query(COUNT) == [(1200, 1200)] and list(tmp_path.iterdir()) == []


def test_while_the_database_is_away_events_wait_and_none_is_lost(journal, tmp_path):
    """The whole server is frozen; what was under way is written again and counts once."""
    spool = Spool(tmp_path, "airflow-worker-1")
    carrier = forwarder(journal, spool)
    say(spool, 0)
    carrier.start()
    wait_for("the first event", lambda: journal.query(COUNT) == [(1, 1)])
    journal.stack.freeze("postgres")
    try:
        for number in range(1, 300):
            say(spool, number)
    finally:
        journal.stack.thaw("postgres")
    wait_for("what waited", lambda: journal.query(COUNT) == [(300, 300)])
    carrier.leave()
    assert carrier.thread and not carrier.thread.is_alive() and list(tmp_path.iterdir()) == []


def test_a_server_that_refuses_is_asked_again_and_said_once(journal, tmp_path, caplog):
    spool = Spool(tmp_path, "airflow-worker-1")
    carrier = forwarder(journal, spool)
    say(spool, 1)
    good, carrier.sink.address = carrier.sink.address, "postgresql://nobody@127.0.0.1:1/kit"
    assert not carrier.turn() and not carrier.turn()
    assert len([one for one in caplog.records if "events wait" in one.message]) == 1
    carrier.sink.address = good
    assert carrier.turn() and journal.query(COUNT) == [(1, 1)]
    assert "written again" in caplog.text


def hammer(folder, instance, receipts):
    """Write for ever; each receipt is put down after its event."""
    spool = Spool(folder, instance)
    with receipts.open("a") as file:
        for number in range(1_000_000):
            say(spool, number)
            file.write("x")
            file.flush()


def test_a_killed_writer_s_events_are_carried_on_by_another(journal, tmp_path):
    """Three writers of one spool are killed while a carrier takes it away again and again."""
    folder, receipts = tmp_path / "spool", [tmp_path / f"receipts{number}" for number in range(3)]
    folder.mkdir()
    own = forwarder(journal, Spool(folder, "airflow-worker-1"))
    writers = [
        multiprocessing.get_context("fork").Process(target=hammer, args=(folder, "airflow-worker-1", path))
        for path in receipts
    ]
    for writer in writers:
        writer.start()
    own.start()
    wait_for("some of it", lambda: journal.query(COUNT)[0][0] > 300)
    own.leave()
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    for left in folder.iterdir():
        os.utime(left, (0, 0))
    assert forwarder(journal, Spool(folder, "airflow-scheduler-1")).turn()
    said = sum(path.stat().st_size for path in receipts)
    ((kept, different),) = journal.query(COUNT)
    # An event whose writer was killed before it put down the receipt is there too.
    assert kept == different and said <= kept <= said + len(writers) and said > 300


def test_a_line_that_was_cut_off_is_set_aside(journal, tmp_path):
    spool = Spool(tmp_path, "airflow-worker-1")
    say(spool, 1)
    with spool.path.open("a") as file:
        file.write('\n{"id": "cut')
    say(spool, 2)
    assert forwarder(journal, spool).turn()
    assert journal.query(COUNT) == [(2, 2)]
    assert (tmp_path / REFUSED).read_text() == '{"id": "cut\n' and not list(tmp_path.glob(f"*{LIVE}"))

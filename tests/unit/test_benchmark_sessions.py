"""Which measurements a call of the benchmark makes, in which order, with how many workers, and which sessions count."""

import itertools
import json

import pytest
from rich.console import Console

from tests.benchmarks import bench, cpu, evidence, report, sides
from tests.benchmarks.sides import KNOBS, SLOTS, STOCK, Timed
from tests.benchmarks.workloads import WORKLOADS

NINE = [f"i{workers}x{tasks}" for workers in (1, 2, 4) for tasks in (100, 400, 1600)]
TASKS = (
    {"start": 1.0, "end": 2.0, "run": "r1", "task": "step_01"},
    {"start": 2.0, "end": 4.0, "run": "r1", "task": "step_02"},
)


class FakeSide:
    """A side that does its work at once; `breaks` names the number of workers with which it fails."""

    def __init__(self, name, breaks=None):
        self.name, self.breaks, self.workers, self.asked = name, breaks, 1, []

    def scale(self, workers):
        self.workers = workers

    def run(self, dags, seconds, listen):
        self.asked.append((dags, seconds, self.workers))
        assert self.workers != self.breaks, "this side fails"
        return Timed(4.0, 1.0, TASKS, {"airflow-worker": 0.5})


def letters(names):
    return [load.letter for load in bench.chosen(names)]


def measured(tmp_path, names, pairs=None, fakes=None):
    """The lines of evidence of one session with sides that are none."""
    path, fakes = tmp_path / "evidence.jsonl", fakes or [FakeSide("stock"), FakeSide("kit")]
    console = Console(file=(tmp_path / "said.txt").open("w"), width=40)
    bench.measure(fakes, list(bench.plan(bench.chosen(names), pairs)), path, console)
    return [json.loads(line) for line in path.read_text().splitlines()], fakes


def test_a_group_s_letter_means_all_of_it():
    assert letters("i") == NINE
    assert letters("b, i2x400") == ["b", "i2x400"]
    assert letters("i4x100,i,a,a") == ["i4x100", *(name for name in NINE if name != "i4x100"), "a"]


@pytest.mark.parametrize("names", ["z", "a,,b", "", "i3x100", "c"])
def test_an_unknown_load_is_refused_with_one_line(names, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.chosen(names)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith("no load '") and line.endswith("choose among a, b, c1, c2, d, e, o, p, s, j, g, f, i")


def test_stock_goes_first_in_odd_pairs_and_the_first_round_does_not_count():
    turns = [(turn.pair, turn.side, turn.of) for pair in bench.plan(bench.chosen("b"), 2) for turn in pair]
    assert turns == [(0, "kit", 2), (0, "stock", 2), (1, "stock", 2), (1, "kit", 2), (2, "kit", 2), (2, "stock", 2)]
    assert len(list(bench.plan(bench.chosen("b"), None))) == 1 + 5


def test_growth_is_one_pair_and_only_its_smallest_load_is_rehearsed():
    turns = list(itertools.chain(*bench.plan(bench.chosen("i"), None)))
    assert {turn.of for turn in turns} == {1}
    assert [turn.load.letter for turn in turns if turn.pair == 0 and turn.side == "kit"] == [
        "i1x100",
        "i2x100",
        "i4x100",
    ]
    assert [turn.load.letter for turn in turns if turn.pair and turn.side == "kit"] == NINE


def test_growth_has_time_enough_for_stock_and_one_dag_for_each_size():
    for load in bench.chosen("i"):
        tasks = int(load.letter.partition("x")[2])
        assert load.dags == (f"bench_grow_{tasks}",)
        assert load.seconds > 2 * 0.35 * tasks + 200


def test_both_sides_are_given_the_same_knobs_and_enough_for_every_slot():
    most = SLOTS * max(load.workers for load in WORKLOADS)
    assert int(KNOBS["PARALLELISM"]) >= 2 * most
    assert "AIRFLOW__CORE__PARALLELISM=${PARALLELISM}" in (STOCK / "config" / "airflow.env").read_text()
    assert sides.OWN_KNOBS == {
        "stock": {"CONTROLLERS": "0"},
        "kit": {},
        "fifo": {"PRIORITY_POLICY": "airflow"},
        "unrecorded": {"JOURNAL": "off"},
    }


def test_both_sides_have_the_workers_of_the_load_and_one_afterwards(tmp_path, monkeypatch):
    looks = itertools.cycle([(100.0, 10.0), (120.0, 13.0)])
    monkeypatch.setattr(cpu, "wanted", lambda: next(looks))
    lines, (stock, kit) = measured(tmp_path, "i")
    assert [(line["load"], line["side"]) for line in lines] == [
        (name, side) for name in NINE for side in ("stock", "kit")
    ]
    assert [workers for _, _, workers in kit.asked] == [1] * 4 + [2] * 4 + [4] * 4
    assert kit.asked == stock.asked
    assert (stock.workers, kit.workers) == (1, 1)
    figures = {"seconds": 4.0, "cpu per task": 0.25, "tasks per second": 0.5, "taken by the host": 0.15}
    assert lines[0]["figures"] == figures
    assert {(line["of"], len(line["bars"])) for line in lines} == {(1, 0)}


def shares(monkeypatch, *taken):
    """Have the host take these shares in the measurements to come, and nothing afterwards."""
    looks = iter([moment for share in taken for moment in ((0.0, 0.0), (100.0, 100.0 * share))])
    monkeypatch.setattr(cpu, "wanted", lambda: next(looks, (0.0, 0.0)))


def test_a_pair_in_which_the_host_took_too_much_is_measured_again_and_stays_in_the_evidence(tmp_path, monkeypatch):
    shares(monkeypatch, 0.9, 0.9, 0.1, 0.3, 0.3, 0.1, 0.2, 0.25)
    lines, (stock, kit) = measured(tmp_path, "b", pairs=2)
    assert [(line["pair"], line["side"], line.get("counts", True), line.get("again", 0)) for line in lines] == [
        (1, "stock", False, 0), (1, "kit", False, 0), (1, "stock", False, 0), (1, "kit", False, 0),
        (1, "stock", True, 2), (1, "kit", True, 2), (2, "kit", True, 0), (2, "stock", True, 0),
    ]  # fmt: skip
    assert len(stock.asked) == len(kit.asked) == 5, "the first round does not count, whatever the host takes"
    counted = evidence.load(tmp_path / "evidence.jsonl")
    assert [line["figures"]["taken by the host"] for line in counted] == [0.2, 0.25, 0.0, 0.0]
    assert "Pairs that were measured again, because the host took too much: b 2." in report.when(counted)
    said = (tmp_path / "said.txt").read_text()
    assert said.count("(b) pair 1 is measured again: the host took too much") == 2
    assert "10 of 10 after" in said


def test_of_each_load_as_many_pairs_are_measured_again_as_it_has(tmp_path, monkeypatch):
    shares(monkeypatch, *[0.5] * 100)
    lines, (_, kit) = measured(tmp_path, "b,f", pairs=2)
    assert len(kit.asked) == 2 * (1 + 2 + 2)
    assert [line["load"] for line in lines if line.get("counts", True)] == ["b"] * 4 + ["f"] * 4


def test_a_side_that_fails_leaves_one_worker_on_both_and_a_session_that_does_not_count(tmp_path):
    fakes = [FakeSide("stock"), FakeSide("kit", breaks=2)]
    with pytest.raises(AssertionError, match="this side fails"):
        measured(tmp_path, "i", fakes=fakes)
    assert [side.workers for side in fakes] == [1, 1]
    counted = {line["load"] for line in evidence.load(tmp_path / "evidence.jsonl")}
    assert counted == {"i1x100", "i1x400", "i1x1600"}


def test_a_side_that_cannot_go_back_does_not_keep_the_other_from_it():
    stock, kit = FakeSide("stock"), FakeSide("kit")
    stock.workers = kit.workers = 4
    kit.scale = lambda workers: 1 / 0
    with pytest.raises(ZeroDivisionError), sides.one_worker_afterwards([stock, kit]):
        pass
    assert stock.workers == 1


def test_what_the_host_took_is_a_share_of_what_was_asked_for():
    assert cpu.taken((100.0, 10.0), (100.0, 10.0)) == 0.0
    asked, stolen = cpu.wanted()
    assert 0 <= stolen <= asked
    sum(range(3_000_000))
    assert cpu.wanted()[0] > asked


def test_the_order_load_keeps_chain_and_step_of_its_first_pair():
    (load,) = bench.chosen("o")
    tasks = [*TASKS, {"start": 3.0, "end": 5.0, "run": "r2", "task": "step_01"}]
    assert load.kept(tasks) == [[1.0, 2.0, 1, 1], [2.0, 4.0, 1, 2], [3.0, 5.0, 2, 1]]


def test_without_a_terminal_each_measurement_is_one_line(tmp_path):
    measured(tmp_path, "b", pairs=1)
    said = (tmp_path / "said.txt").read_text().splitlines()
    assert len(said) == 4
    assert said[0].startswith("1 of 4 after 0 s: (b) kit, warm-up: seconds 4, cpu per task 0.25")
    assert said[3].startswith("4 of 4 after 0 s: (b) kit, pair 1 of 1: ")


def line(session, pair, side, load="b", **more):
    return {"session": session, "load": load, "side": side, "pair": pair, "figures": {}, "bars": []} | more


def written(tmp_path, *lines):
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return {(one["load"], one["session"]) for one in evidence.load(path)}


def both(session, pairs, **more):
    return [line(session, pair, side, **more) for pair in range(1, pairs + 1) for side in ("stock", "kit")]


def test_the_last_complete_session_of_each_load_counts(tmp_path):
    whole, cut, other = both("one", 2, of=2), both("two", 2, of=2)[:-1], both("two", 1, load="f", of=1)
    assert written(tmp_path, *whole, *other, *cut) == {("b", "one"), ("f", "two")}
    assert written(tmp_path, *whole, *both("two", 1, of=1)) == {("b", "two")}
    assert written(tmp_path, *cut) == set(), "a load that was only cut short has no figures"


def test_a_session_is_complete_when_the_sides_that_it_meant_to_measure_are_there(tmp_path):
    fifo, kit = (line("one", 1, side, load="p", of=1, sides=["fifo", "kit"]) for side in ("fifo", "kit"))
    assert written(tmp_path, fifo) == set()
    assert written(tmp_path, fifo, kit) == {("p", "one")}


def test_lines_from_before_the_number_of_pairs_was_recorded_count_as_they_are(tmp_path):
    assert written(tmp_path, *both("old", 3)[:-1]) == {("b", "old")}
    assert written(tmp_path, *both("old", 2), *both("new", 2, of=2)[:-1]) == {("b", "old")}


def test_no_evidence_is_no_error(tmp_path):
    assert evidence.load(tmp_path / "nothing.jsonl") == []


class FakeStack:
    """A stack whose workers are registered one look after the other."""

    def __init__(self, workers):
        self.settings, self.called, self.looks = self, [], 0
        self.workers = workers

    def number(self, knob):
        assert knob == "WORKERS"
        return self.workers

    def kit(self, *arguments):
        self.called.append(arguments)
        self.workers = int(arguments[1])

    def status(self):
        self.looks += 1
        return {"workers": [{"name": f"airflow-worker-{n + 1}"} for n in range(min(self.looks, self.workers))]}


def test_a_side_is_scaled_once_and_waited_for_until_the_broker_knows_every_worker(monkeypatch):
    monkeypatch.setattr("tests.stack.harness.wait.time.sleep", lambda seconds: None)
    side = sides.Side("kit", FakeStack(1))
    side.scale(1)
    assert side.stack.called == []
    side.scale(2)
    side.scale(2)
    assert (side.stack.called, side.stack.looks) == ([("scale", "2")], 2)


def test_processes_of_every_worker_are_counted(monkeypatch):
    trees = {"airflow-worker-1": 11, "airflow-worker-2": 12, "airflow-worker-heavy-1": 13, "postgres-1": 14}
    monkeypatch.setattr(cpu, "trees", lambda settings: trees)
    monkeypatch.setattr(cpu, "_tree", lambda pid: [pid] * 5)
    assert cpu.count(None, sides.WORKER) == 10
    before = {"airflow-worker-1": 1.0, "airflow-worker-2": 2.0}
    assert cpu.spent(before, {"airflow-worker-1": 2.0, "airflow-worker-2": 4.0}) == {"airflow-worker": 3.0}

"""How often the Dag processor looks for the permissions of a Dag."""

from types import SimpleNamespace

from airflow_celery_kit.dag_processor.permissions import AGAIN_SECONDS, Seen


def seen(*moments: float) -> tuple[Seen, list]:
    """Return what stands in Airflow's place, on a clock that says these moments, and the list of those it asked for."""
    asked, clock = [], iter(moments)
    return Seen(lambda dag, session: asked.append((dag.dag_id, session)), lambda: next(clock)), asked


def dag(name: str, access_control: dict | None = None) -> SimpleNamespace:
    """Return a Dag as it was read."""
    return SimpleNamespace(dag_id=name, access_control=access_control)


def test_permissions_are_looked_for_at_first_and_after_a_while():
    look, asked = seen(0, 30, AGAIN_SECONDS - 1, AGAIN_SECONDS, AGAIN_SECONDS + 1)
    for _ in range(5):
        look(dag("a"), session=1)
    assert asked == [("a", 1), ("a", 1)]


def test_each_dag_has_its_own_time():
    look, asked = seen(0, 1, 2)
    for name in "aba":
        look(dag(name), session=1)
    assert asked == [("a", 1), ("b", 1)]


def test_a_dag_that_says_who_may_do_what_is_looked_at_each_time():
    look, asked = seen(0, 1, 2)
    for rights in ({"Viewer": {"can_read"}}, {"Viewer": {"can_edit"}}, {}):
        look(dag("a", rights), session=1)
    assert len(asked) == 3


def test_what_failed_is_tried_again():
    def broken(dag, session):
        raise RuntimeError("the database is away")

    look = Seen(broken, lambda: 0.0)
    for _ in range(2):
        try:
            look(dag("a"), session=1)
        except RuntimeError:
            continue
        raise AssertionError("it must be tried")

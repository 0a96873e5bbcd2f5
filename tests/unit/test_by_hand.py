"""Runs in: tests; which requests count as a person's word: changes by Airflow's API and page, not what tasks say of themselves."""

import pytest


@pytest.fixture
def asked():
    """Asks an application below a path; returns whether it answered as for a person."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from airflow_celery_kit.api.by_hand import ByHand, by_hand

    def ask(path: str, base: str = "", method: str = "PUT") -> bool:
        app = FastAPI(root_path=base)
        app.add_middleware(ByHand)
        app.api_route("/{rest:path}", methods=["GET", "PUT"])(lambda rest: by_hand.get())
        said = TestClient(app).request(method, path).json()
        assert not by_hand.get()
        return said

    return ask


# What is before Airflow may take the path away that it is reached by, or leave it.
@pytest.mark.parametrize(("base", "before"), [("", ""), ("/base", "/base"), ("/base", "")])
@pytest.mark.parametrize("path", ["/api/v2/dags/sales", "/ui/dags/sales"])
def test_a_change_by_airflow_s_api_or_page_is_a_person_s(asked, path, base, before):
    assert asked(before + path, base) is True
    assert asked(before + path, base, method="GET") is False


@pytest.mark.parametrize("base", ["", "/base"])
@pytest.mark.parametrize("path", ["/execution/variables/a/ui/b", "/execution/xcoms/a/b/c/api/v2/d", "/kit/v1/ui/x"])
def test_what_a_task_says_is_no_person_s_word_however_its_keys_are_called(asked, path, base):
    assert asked(base + path, base) is False


def test_a_path_that_only_begins_alike_is_another_one(asked):
    assert asked("/basement/api/v2/dags/sales", "/base") is False

"""The sums and counts of the small Dags, against numbers that were not computed here."""

import pytest

PRIMES = {10: 4, 11: 5, 12: 5, 100: 25, 121: 30, 1000: 168, 10**6: 78498, 10**7: 664579}


@pytest.mark.parametrize(("limit", "primes"), PRIMES.items())
def test_both_ways_to_count_primes_agree_with_the_books(dag_file, limit, primes):
    heavy = dag_file("heavy_queue")
    assert heavy.count_by_sieve(limit) == primes
    assert heavy.count_by_recurrence(limit) == primes


def test_both_sides_of_the_branch_give_the_same_sum(dag_file):
    branching = dag_file("branching")
    for size in (1, 2, 10, branching.SMALL, branching.SMALL + 1):
        assert branching.sum_of_squares(size) == branching.sum_by_formula(size)
    assert branching.sum_of_squares(10) == 385


def test_the_branch_changes_just_above_small(dag_file):
    branching = dag_file("branching")
    assert branching.branch_for(branching.SMALL) == "add_one_by_one"
    assert branching.branch_for(branching.SMALL + 1) == "add_by_formula"


def test_the_longest_way_to_one(dag_file):
    chains = dag_file("chains")
    assert chains.collatz(1) == 0
    assert chains.collatz(27) == 111
    assert chains.longest_below(1000) == 871


def test_the_parts_of_the_resumable_count_make_the_whole(dag_file):
    resumable = dag_file("resumable")
    parts = [resumable.primes_between(part * 500, (part + 1) * 500) for part in range(4)]
    assert sum(parts) == resumable.primes_between(0, 2000) == 303

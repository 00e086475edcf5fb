"""The best of equally good networks, against exact counts."""

import itertools

import numpy as np
import pytest

from ptq.evidence import winners
from ptq.evidence.checks import InputError

# Two networks share the first image; the last was changed by none.
CHANGES = np.array([[1, -1, 0, 0], [1, 0, 1, 0]])


def test_winner_by_all_tosses_of_the_coin():
    known = [
        max(np.array(signs) @ row for row in CHANGES)
        for signs in itertools.product([-1, 1], repeat=4)
    ]
    found = winners.best_of_equals(CHANGES, seed=3, draws=20_000)
    assert set(found) == set(known)
    for value in set(known):
        share = known.count(value) / len(known)
        assert np.mean(found == value) == pytest.approx(share, abs=0.02)


def test_networks_that_change_the_same_images_win_no_more_than_one():
    one = winners.best_of_equals(CHANGES[:1], seed=3)
    same = winners.best_of_equals(CHANGES[[0, 0, 0]], seed=3)
    assert (one == same).all()


@pytest.mark.parametrize("odd", [[1, 0, -1], [[2, 0]], np.zeros((0, 4))])
def test_what_is_no_change_is_refused(odd):
    with pytest.raises(InputError, match="expected a row a network"):
        winners.best_of_equals(odd, seed=3)

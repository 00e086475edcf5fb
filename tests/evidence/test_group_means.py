"""The mean of groups: Welch's test of two is a special case."""

import numpy as np
import pytest
import scipy

from ptq.evidence import group_means
from ptq.evidence.checks import InputError

FIRST = np.array([1.0, 2.0, 4.0])
SECOND = np.array([7.0, 7.5, 8.0, 9.0, 8.5])


def test_of_two_groups_it_is_half_of_welchs_difference():
    found, p = group_means.average([FIRST, -SECOND])
    told = scipy.stats.ttest_ind(FIRST, SECOND, equal_var=False)
    bounds = told.confidence_interval(0.95)
    assert found.value == pytest.approx((FIRST.mean() - SECOND.mean()) / 2)
    assert found.low == pytest.approx(bounds.low / 2)
    assert found.high == pytest.approx(bounds.high / 2)
    assert p == pytest.approx(told.pvalue)


def test_of_one_group_it_is_students():
    found, p = group_means.average([SECOND])
    told = scipy.stats.ttest_1samp(SECOND, 0)
    assert p == pytest.approx(told.pvalue)
    assert found.high == pytest.approx(told.confidence_interval(0.95).high)


def test_a_group_without_spread_counts_by_its_mean():
    found, p = group_means.average([FIRST, np.zeros(3)])
    alone = scipy.stats.ttest_1samp(FIRST, 0)
    assert found.value == pytest.approx(FIRST.mean() / 2)
    assert p == pytest.approx(alone.pvalue)


def test_where_nothing_spreads_there_is_no_interval():
    found, p = group_means.average([np.zeros(3), np.zeros(5)])
    assert found.low == found.value == found.high == 0 and p == 1
    assert group_means.average([np.ones(3), np.ones(5)])[1] == 2 / 2**8


@pytest.mark.parametrize(
    "groups", [[FIRST, [1.0]], [FIRST, [1, np.nan]], [["a", "b"]], []]
)
def test_what_is_no_group_is_refused(groups):
    with pytest.raises(InputError, match="groups"):
        group_means.average(groups)

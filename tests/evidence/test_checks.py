"""Numbers that are counts or seeds, and how others are refused."""

import numpy as np
import pytest

from ptq.evidence import checks


@pytest.mark.parametrize(
    "value", [0, 3, np.int8(3), np.float32(3), 3.0, 2**53 + 1, 2**63 - 1]
)
def test_a_count_is_the_same_number(value):
    found = checks.count(value, "seed")
    assert type(found) is int and found == int(value)


@pytest.mark.parametrize("value", [2**63, 2**70, np.uint64(2**63), 1e300])
def test_a_number_that_is_too_large_is_told_the_largest(value):
    with pytest.raises(checks.InputError) as told:
        checks.count(value, "--seed")
    expected = f"expected a whole number from 0 to {2**63 - 1}"
    assert str(told.value) == f"--seed={value}: {expected}"


@pytest.mark.parametrize("value", [-1, -(2**70), 0.5, np.nan, -np.inf])
def test_no_count(value):
    with pytest.raises(checks.InputError) as told:
        checks.count(value, "seed")
    expected = "expected a whole number from 0"
    assert str(told.value) == f"seed={value}: {expected}"


@pytest.mark.parametrize("value", ["3", None, [3], True])
def test_no_number(value):
    with pytest.raises(checks.InputError, match="expected a number"):
        checks.count(value, "seed")

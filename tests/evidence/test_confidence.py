"""Calibration error and margins, against loops and values by hand."""

import numpy as np
import pytest

from ptq.evidence import confidence
from ptq.evidence.checks import InputError


def of_two(sure):
    """Probabilities of two classes, the first with these."""
    return np.stack([sure, 1 - np.asarray(sure)], axis=1)


def test_calibration_error_by_hand():
    """Two images sure by 0.9, one right; two sure by 0.6, both right."""
    given = of_two([0.9, 0.9, 0.6, 0.6])
    found = confidence.calibration_error(given, np.array([0, 1, 0, 0]))
    assert found == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
    # In one bin for all, what is too much and too little cancels.
    pooled = confidence.calibration_error(given, np.array([0, 1, 0, 0]), 1)
    assert pooled == pytest.approx(0)


def test_calibration_error_is_that_of_a_plain_loop():
    generator = np.random.default_rng(0)
    given = generator.dirichlet(np.ones(5), 400)
    labels = generator.integers(0, 5, 400)
    expected = 0
    for b in range(15):
        inside = [
            i for i, p in enumerate(given) if b / 15 < p.max() <= (b + 1) / 15
        ]
        if inside:
            right = np.mean([given[i].argmax() == labels[i] for i in inside])
            sure = np.mean([given[i].max() for i in inside])
            expected += len(inside) / 400 * abs(right - sure)
    found = confidence.calibration_error(given, labels)
    assert found == pytest.approx(expected)


def test_who_is_always_sure_errs_by_its_mistakes():
    labels = np.array([0, 0, 0, 1])
    assert confidence.calibration_error(of_two(np.ones(4)), labels) == 0.25
    assert confidence.calibration_error(np.eye(2)[labels], labels) == 0


def test_shares_by_margin_go_by_the_lead_of_the_first_class():
    given = np.array([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    margins = confidence.margins(given)
    assert margins == pytest.approx([0.1, 0.7, 0.1])
    found = confidence.shares_by_margin(
        np.array([5, 1, 4, 2, 3, 0]), np.array([0, 1, 0, 1, 0, 1]), 3
    )
    assert found.tolist() == [1, 0.5, 0]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([[2.0, -1.0]], "of logits take the softmax"),
        ([[0.5, 0.4]], "with the sum 1"),
        ([[np.nan, 1.0]], "image 0"),
        ([0.5, 0.5], "expected \\(N, classes\\)"),
    ],
)
def test_what_is_no_probability_is_refused(given, told):
    with pytest.raises(InputError, match=told):
        confidence.calibration_error(np.array(given), np.array([0]))
    with pytest.raises(InputError, match="numbers of images differ"):
        confidence.calibration_error(of_two([0.5, 0.5]), np.array([0]))
    with pytest.raises(InputError, match="at least 5"):
        confidence.shares_by_margin(np.ones(4), np.ones(4))

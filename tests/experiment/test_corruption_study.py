"""What a pair of networks tells, and a whole point on few images."""

import numpy as np
import pytest
import torch

from ptq.evidence import intervals, paired_tests
from ptq.experiment import corruption_pairs, corruption_study, network_study
from ptq.experiment.corruption_study import CLEAN, GRADED, Condition
from ptq.networks import recipes


def told_of(count=200, strengths=3, classes=10):
    """Random predictions, right about half of the time."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, classes, count)

    def guess(shape):
        wrong = generator.integers(0, classes, shape)
        return np.where(generator.random(shape) < 0.5, labels, wrong)

    one, many = (count,), (strengths, count)
    exact, made = guess(many), guess(many)
    given = exact.ravel(), made.ravel(), guess(one), guess(one), labels
    return given, corruption_pairs.pair(*given, generator.random(count))


def test_the_excess_is_paired_by_image():
    """Three strengths of an image are one image, not three."""
    (exact, made, exact_clean, made_clean, labels), told = told_of()
    values = []
    for i, label in enumerate(labels):
        moved = [
            int(made[i + 200 * s] == label) - int(exact[i + 200 * s] == label)
            for s in range(3)
        ]
        before = int(made_clean[i] == label) - int(exact_clean[i] == label)
        values.append(sum(moved) / 3 - before)
    found = intervals.mean(np.array(values))
    shown = (told[f"excess{end}"] for end in ("", "_low", "_high"))
    assert list(shown) == pytest.approx([found.value, found.low, found.high])
    assert told["change"] * 600 == pytest.approx(
        told["gained"] - told["lost"]
    )
    assert told["disagreement"] == (exact != made).mean()
    assert np.mean([told[f"changed_{i}"] for i in range(1, 6)]) == (
        pytest.approx(told["disagreement"])
    )
    assert "classes_hurt" not in told


def test_one_strength_also_tells_classes_and_agrees_with_the_paired_test():
    given, told = told_of(count=2000, strengths=1)
    exact, made, _, _, labels = given
    flips = paired_tests.flips(exact, made, labels)
    assert (told["lost"], told["gained"]) == (flips.lost, flips.gained)
    found = paired_tests.difference(flips)
    assert told["change_low"] == pytest.approx(found.low, abs=2e-4)
    made = exact.copy()
    made[(labels == 3) & (exact == 3)] = 4
    margins = np.arange(2000)
    told = corruption_pairs.pair(exact, made, exact, exact, labels, margins)
    assert (told["classes_hurt"], told["worst_class"]) == (1, 3)
    right = (exact == 3)[labels == 3].mean()
    assert told["worst_change"] == pytest.approx(-right)


def test_the_same_cost_everywhere_is_no_excess():
    labels = np.zeros(100, int)
    exact, made = np.zeros(100, int), (np.arange(100) < 10).astype(int)
    margins = np.arange(100)
    told = corruption_pairs.pair(exact, made, exact, made, labels, margins)
    assert told["change"] == pytest.approx(-0.1)
    assert told["excess"] == 0 and told["excess_p"] == 1
    assert told["changed_1"] == 0.5 and told["changed_2"] == 0


@pytest.fixture(scope="module")
def point(tmp_path_factory):
    """The point of an untrained network, on 60 noise images."""
    generator = torch.Generator().manual_seed(0)
    shape = (60, 3, 32, 32)
    images = torch.randint(0, 256, shape, generator=generator).byte()
    labels = torch.arange(60) % 10
    network = recipes.untrained("compact_cnn", 1).eval()
    of = network_study.Subject(
        "compact_cnn", network, {"sha256": "x"}, images, images, labels
    )
    folder = tmp_path_factory.mktemp("point")
    return corruption_study.Asked(of, images, labels, folder)


def test_a_point_has_every_condition_and_is_kept(point, monkeypatch):
    methods = ["fp32", "int8"]
    monkeypatch.setattr(corruption_study, "methods", lambda _: methods)
    made = {r.strategy: r for r in corruption_study.records(point)}
    conditions = [CLEAN, *GRADED, *corruption_study.together()]
    names = {f"{m}_{c.name}" for m in methods for c in conditions}
    assert made.keys() == names and len(names) == 2 * 26
    for record in made.values():
        right = record.predictions.reshape(-1, 60) == point.labels.numpy()
        assert (record.correct, record.n) == (right.sum(), right.size)
    parts = [made[f"int8_noise_{s}"] for s in range(1, 6)]
    pooled = made["int8_noise"].parameters
    for name in ("excess", "change", "disagreement", "ece", "changed_2"):
        each = [part.parameters[name] for part in parts]
        assert pooled[name] == pytest.approx(np.mean(each)), name
    assert made["int8_clean"].parameters["excess"] == 0
    assert "excess" not in made["fp32_all"].parameters
    # Asked again, nothing is measured.
    monkeypatch.setattr(corruption_study.Asked, "outputs", None)
    again = point.record("int8", Condition("noise", 3))
    assert np.array_equal(again.predictions, parts[2].predictions)

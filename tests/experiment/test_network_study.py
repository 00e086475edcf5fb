"""The four networks at eight bits: records, choices, and their table."""

import numpy as np
import pandas as pd
import pytest

from ptq.experiment import (
    committed_sweeps,
    network_study,
    network_sweep,
    recipe_steps,
)
from ptq.networks import recipes

IMAGES = 120


@pytest.fixture(scope="module")
def subject(cifar, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return network_study.subject(
        cifar, "resnet8", folder, calibration_images=20
    )


def measured(of, name, cifar, folder):
    images, labels = cifar.test_images[:IMAGES], cifar.test_labels[:IMAGES]
    return network_study.record(of, name, images, labels, folder)


def test_images_are_of_its_own_training(cifar, subject, tmp_path):
    other = network_study.subject(
        cifar, "resnet8", tmp_path, train_seed=1, calibration_images=20
    )
    assert len(subject.validation) == 5_000
    assert not subject.validation.equal(other.validation)
    assert not subject.calibration.equal(other.calibration)


@pytest.mark.parametrize("name", ("fp32", *network_study.CHOICES))
def test_a_record_is_of_the_network_that_it_names(
    name, cifar, subject, tmp_path
):
    found = measured(subject, name, cifar, tmp_path)
    assert found.n == IMAGES and found.correct > 0.7 * IMAGES
    assert set(found.bits.values()) == {32 if name == "fp32" else 8}
    assert found.payload_bytes < found.file_bytes
    apart = {"bn", "stack1.bn1"} <= found.bits.keys()
    assert apart == name.endswith("apart")
    seen = found.parameters
    assert seen["validation_images"] == IMAGES
    assert seen["validation_correct"] > 0.7 * IMAGES


def test_a_record_is_read_until_something_else_is_measured(
    cifar, subject, tmp_path, monkeypatch
):
    first = measured(subject, "per_channel", cifar, tmp_path)
    monkeypatch.setattr(network_study, "file_of", None)
    again = measured(subject, "per_channel", cifar, tmp_path)
    assert np.array_equal(again.predictions, first.predictions)
    other = network_study.subject(
        cifar, "resnet8", tmp_path, seed=7, calibration_images=20
    )
    with pytest.raises(TypeError):
        measured(other, "per_channel", cifar, tmp_path)


def test_parity_counts_the_images_that_agree(cifar, subject, tmp_path):
    made = measured(subject, "per_tensor", cifar, tmp_path)
    few = cifar.test_images[:50]
    told = network_study.with_parity(made, subject, few).parameters
    assert told["simulated"] == 50 and told["simulated_equal"] >= 49
    made.predictions[:10] += 1
    told = network_study.with_parity(made, subject, few).parameters
    assert told["simulated_equal"] <= 41


def table(**changes):
    rows = [
        {"network": n, "train_seed": t, "strategy": s, "accuracy": 0.8}
        for n in recipes.NETWORKS
        for t in (1, 2)
        for s in ("fp32", *network_study.CHOICES)
    ]
    frame = pd.DataFrame(rows)
    for choice, change in changes.items():
        frame.loc[frame.strategy == choice, "accuracy"] += change
    return frame


def test_changes_and_gains_are_paired_by_training():
    frame = table(per_channel=-0.01, per_tensor=-0.03)
    frame.loc[frame.train_seed == 2, "accuracy"] += 0.1
    found = network_sweep.changes(frame)
    assert found["resnet8", "per_channel"] == pytest.approx([-0.01] * 2)
    gain = network_sweep.gain(found, "per_channel", "per_tensor")
    assert gain.value == pytest.approx(0.02)
    assert gain.low == pytest.approx(gain.high)
    found["resnet8", "per_channel"] = np.array([0.05, -0.05])
    spread = network_sweep.gain(found, "per_channel", "per_tensor")
    assert spread.low < 0 < spread.high
    assert len(network_sweep.gains(found, "per_channel", "per_tensor")) == 4


def test_the_reference_holds_shipped_networks_and_their_parity():
    frame, manifest = committed_sweeps.load("networks")
    counted = frame.groupby(["network", "strategy"]).train_seed.nunique()
    assert counted.drop("compact_cnn").eq(5).all() and counted.min() >= 3
    shipped = frame[frame.train_seed == 42]
    equal = shipped.simulated_equal.dropna()
    assert set(shipped.network) == set(recipes.NETWORKS)
    assert len(equal) >= 4 and equal.min() >= 9_995
    assert manifest["constant"]["n"] == 10_000


def test_steps_of_the_recipe_are_each_on_top_of_those_before():
    frame = recipe_steps.load()
    found = recipe_steps.by_step(frame)
    assert list(found) == list(recipe_steps.STEPS) and len(found) == 5
    published = frame[
        (frame.optimizer == "adam") & (frame.augmentation == "none")
    ]
    assert found["published"].mean() == pytest.approx(
        published.accuracy.mean()
    )
    with pytest.raises(ValueError, match="every step at every seed"):
        recipe_steps.by_step(frame[frame.seed != 1].iloc[:-13])
    with pytest.raises(ValueError, match="two trainings"):
        recipe_steps.by_step(pd.concat([frame, frame]))

"""The sweep of ranges: what is said of observers, repairs and sources."""

import pandas as pd
import pytest

from ptq.book import tables
from ptq.experiment import range_sweep
from ptq.experiment.range_study import CALIBRATED, CHOICES, OBSERVED, REPAIRED

NETWORKS = ("compact_cnn", "resnet8", "depthwise")
NOISE = {seed: 0.001 * (seed % 3) for seed in range(1, 6)}


def table(lost=None):
    """A reference of fifteen trainings; ``lost`` are shares by name."""
    rows = [
        {
            "network": network,
            "train_seed": seed,
            "strategy": name,
            "accuracy": 0.9 - (lost or {}).get(name, 0) - moved,
            "correct": round(1000 * (0.9 - (lost or {}).get(name, 0))),
            "n": 1000,
            "disagreement": 0.02,
            "cpu_seconds": 7.0 if name.endswith("distilled") else 0.5,
        }
        for network in NETWORKS
        for seed, moved in NOISE.items()
        for name in ("fp32", *CHOICES)
    ]
    return pd.DataFrame(rows)


def ladder(bits):
    """Each observer loses a point more than the one before it."""
    of = enumerate(OBSERVED[bits].values())
    return {choice.name: 0.01 * place for place, choice in of}


def test_observers_that_differ_at_four_bits_only_are_said_to():
    told = range_sweep.about_observers(table(ladder(4)))
    assert told["trained"] == 15
    assert told["shape"] == "not contradicted" and told["p_eight"] == 1
    assert told["at_four"] == "shown" and told["p_four"] < 1e-6
    assert told["apart_eight"] == pytest.approx(0)
    assert told["worst_four"] == "analytic, Gauss"
    assert told["apart_four"] == pytest.approx(6)


def test_observers_that_differ_at_eight_bits_contradict_the_shape():
    told = range_sweep.about_observers(table(ladder(8)))
    assert told["shape"] == "contradicted" and told["p_eight"] < 1e-6
    assert told["at_four"] == "not shown" and told["p_four"] == 1


def test_sources_are_held_to_real_images_and_to_each_other():
    lost = {CALIBRATED[4]["noise"].name: 0.3}
    lost |= {CALIBRATED[4]["digits"].name: 0.02}
    told = range_sweep.about_sources(table(lost))
    assert told["noise_real_four"].value == pytest.approx(-30)
    assert told["noise_real_four_verdict"] == "worse"
    assert told["distilled_noise_four"].value == pytest.approx(30)
    assert told["distilled_digits_four_verdict"] == "better"
    assert told["distilled_real_four_verdict"] == "non-inferior"
    assert told["noise_real_eight"].value == pytest.approx(0)
    assert told["distilled_seconds"] == 7


def test_tables_have_a_row_a_choice_and_a_column_a_network():
    lost = {REPAIRED[False]["equalized"].name: 0.125}
    frame = table(lost | ladder(4) | {CALIBRATED[8]["noise"].name: 0.04})
    rows = tables.ranges.observer_rows(frame)
    assert [row["bits"] for row in rows] == ["8"] * 7 + ["4"] * 7
    assert rows[-1]["observer"] == "analytic, Gauss"
    assert rows[-1]["ResNet8"] == "-6.0 ± 0.0"
    repairs = tables.ranges.repair_rows(frame)
    assert list(repairs[0])[2:] == ["compact CNN", "ResNet8", "depthwise CNN"]
    told = {(r["one grid"], r["what is done"]): r["ResNet8"] for r in repairs}
    assert told["a layer", "equalized"] == "-12.5 ± 0.0"
    assert told["a channel", "equalized"] == "+0.0 ± 0.0"
    sources = tables.ranges.source_rows(frame)
    assert len(sources) == 8
    assert sources[3]["images"] == "uniform noise"
    assert sources[3]["depthwise CNN"] == "-4.0 ± 0.0"
    changes = range_sweep.repaired(frame, "resnet8")
    assert changes[False]["equalized"] == pytest.approx(-12.5)

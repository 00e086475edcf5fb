"""The sweep of learned roundings: what must be beaten, and what is told."""

import pandas as pd
import pytest

from ptq.book.tables import learned as tables
from ptq.experiment import committed_sweeps, learned_sweep, rounding_sweep
from ptq.experiment.learned_sweep import CASES
from ptq.experiment.network_study import FLOAT


def table(gains):
    """A reference in which cases gain so many validation images of 5,000."""
    rows = []
    for network in ("resnet8", "depthwise"):
        for seed in (1, 2, 42):
            for name in (FLOAT, *CASES):
                gain = gains.get((network, name), 0) + (seed == 2)
                right = 4000 + 7 * seed + gain
                descends = name.endswith(learned_sweep.START)
                rows.append(
                    {
                        "network": network,
                        "train_seed": seed,
                        "strategy": name,
                        "validation_correct": right,
                        "validation_images": 5000,
                        "correct": 2 * right,
                        "n": 10_000,
                        "accuracy": right / 5000,
                        "cpu_seconds": 3.0 if descends else 60.0,
                    }
                )
    return pd.DataFrame(rows)


def test_each_is_paired_with_descent_at_its_bits():
    assert len(CASES) == 8
    for case in CASES.values():
        base = learned_sweep.base(case)
        assert (base.bits, base.rounding) == (case.bits, "descent")


def test_a_gain_is_paired_by_training_on_validation_images():
    frame = table({("resnet8", "w2a4_blocks"): -50})
    case = CASES["w2a4_blocks"]
    found = learned_sweep.validation_gain(frame, "resnet8", case)
    assert found.value == pytest.approx(-0.01)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)
    frame.loc[frame.strategy == case.name, "correct"] = 0
    again = learned_sweep.validation_gain(frame, "resnet8", case)
    assert again == found


def test_a_text_is_told_who_is_better_and_who_is_worse():
    gains = {
        ("resnet8", "w2a4_blocks"): -50,
        ("depthwise", "w4a4_distilled"): 20,
    }
    frame = table(gains)
    rows = tables.gain_rows(frame)
    assert len(rows) == 12
    first = next(r for r in rows if r["bits"] == "W2A4")
    assert first["method"] == "block reconstruction"
    assert first["on validation images"].startswith("-1.00 (")
    assert (first["CPU s"], first["descent's"]) == ("60", "3")
    told = tables.told(frame)
    assert told["learned_better"] == (
        "descent, then distillation, W4A4, depthwise CNN (+0.4)"
    )
    assert (
        told["learned_worse"] == "block reconstruction, W2A4, ResNet8 (-1.0)"
    )
    assert told["learned_least"] == pytest.approx(-1)
    assert told["learned_slower"] == told["learned_slowest"] == 20
    assert tables.told(table({}))["learned_better"] == "none"


def test_the_committed_one_starts_where_the_other_sweep_ends():
    """Descent's predictions are those of the reference "rounding"."""
    learned, _ = committed_sweeps.load("learned")
    rounding, _ = committed_sweeps.load("rounding")
    keys = ["network", "train_seed", "strategy"]
    both = learned.merge(rounding, on=keys, suffixes=("", "_known"))
    descends = both[both.strategy.str.endswith("descent")]
    trained = learned.groupby("network").train_seed.nunique().sum()
    assert len(descends) == 2 * trained
    assert (descends.predictions == descends.predictions_known).all()


def test_decisions_look_at_validation_images_only():
    learned, manifest = committed_sweeps.load("learned")
    seen = manifest["constant"]["validation_images"]
    assert seen == learned_sweep.VALIDATION > rounding_sweep.VALIDATION

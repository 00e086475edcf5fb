"""The front page's table of four networks says what a run found."""

import numpy as np
import pytest

from ptq.book.pages import network_answers
from ptq.book.tables import four_networks
from ptq.experiment import network_study, network_sweep, results
from ptq.measure import timer

NAMES = ("resnet8", "depthwise")
LABELS = np.arange(1000) % 10


def record(name, wrong, size):
    predictions = LABELS.copy().astype("uint8")
    predictions[:wrong] = (predictions[:wrong] + 1) % 10
    counted = 1000 - wrong, 1000, 0.0, size, size
    return results.Record(name, "", {}, *counted, "", {}, {}, predictions)


@pytest.fixture
def run():
    import torch

    records = {
        n: {
            "fp32": record("fp32", 100, 400_000),
            "per_channel": record("per_channel", 102, 100_000),
        }
        for n in NAMES
    }
    judged = network_sweep.compared(records, torch.tensor(LABELS))
    return records, dict.fromkeys(NAMES, "per_channel"), judged


def timing(batch, mode=timer.HOT, busy=()):
    rng = np.random.default_rng(0)
    seconds = {
        title: (speed * rng.uniform(0.99, 1.01, (8, 5))).tolist()
        for n in NAMES
        for title, speed in zip(network_study.timed(n), (4, 1), strict=True)
    }
    seconds[timer.TWIN] = seconds[network_study.timed(NAMES[0])[0]]
    return results.Timing(
        "", "", batch, 1, mode, "", {}, "", list(busy), seconds
    )


def spent(of, network="resnet8"):
    """Milliseconds in floats and integers, as the table has them."""
    slow, fast = map(of.milliseconds, network_study.timed(network))
    return f"| {slow.value:.3f} → {fast.value:.3f} |"


def page(run, timings, folder):
    network_answers.save(network_answers.answers(*run, timings), folder)
    network_answers.write(folder, folder)
    return (folder / "networks.md").read_text()


def test_front_page_tells_accuracy_size_and_time(run, tmp_path):
    timings = [timing(64), timing(1), timing(1, timer.COLD)]
    text = page(run, timings, tmp_path)
    row = next(line for line in text.splitlines() if "| ResNet8" in line)
    for told in (
        "90.00",
        "-0.20",
        "no difference shown",
        "0.40 → 0.10",
        "4.0",
        *(spent(timings[0]), spent(timings[1])),
    ):
        assert told in row, told
    assert "busy" not in text and "not judged" not in text


def test_times_of_a_busy_machine_are_marked(run, tmp_path):
    timings = [timing(64), timing(1, busy=["another program ran"])]
    text = page(run, timings, tmp_path)
    assert text.count("(not judged)") == len(NAMES)
    assert "busy: at batch 1, hot, another program ran." in text
    both = [timing(n, busy=[f"sign {n}"]) for n in (64, 1)]
    text = page(run, both, tmp_path)
    assert "at batch 1, hot, sign 1; at batch 64, hot, sign 64." in text


def test_a_range_of_ratios_is_told_with_its_verdicts(run):
    timings = [timing(64), timing(1, busy=["another program ran"])]
    found = network_answers.answers(*run, timings)
    told = network_answers.ranged(found, "single")
    assert told == "4.0 to 4.0 times as fast (not judged: 2 of 2)"
    found.loc["resnet8", ["batch_speedup", "batch_time"]] = 0.9, "slower"
    told = network_answers.ranged(found, "batch")
    assert "0.9 to 4.0 times" in told
    assert "slower: 1 of 2" in told and "faster: 1 of 2" in told


def test_without_answers_the_page_says_how_to_make_them(tmp_path):
    network_answers.write(tmp_path, tmp_path)
    text = (tmp_path / "networks.md").read_text()
    assert "python -m ptq run --only 16_four_networks" in text


def test_rows_that_exclude_a_loss_are_counted_and_the_others_named():
    safe, wide = np.array([-0.001, 0, 0.001]), np.array([-0.01, 0.01, 0.0])
    changes = {
        ("resnet8", "per_channel"): safe,
        ("resnet8", "per_tensor"): wide,
        ("compact_cnn", "per_channel"): np.array([-0.1]),
    }
    told = four_networks.safe_words(changes)
    assert told == (
        "1 of 2 rows exclude a mean loss of 0.5 points, all but ResNet8 "
        "per tensor"
    )
    del changes["resnet8", "per_tensor"]
    assert "all but" not in four_networks.safe_words(changes)


def test_one_training_gets_no_interval_and_no_verdict():
    changes = {
        ("resnet8", "per_channel"): np.array([-0.001, -0.002, -0.0015]),
        ("compact_cnn", "per_channel"): np.array([-0.003]),
    }
    many, one = four_networks.training_rows(changes)
    assert " to " in many["mean change (points)"]
    assert many["verdict"] in ("worse", "non-inferior")
    assert one["mean change (points)"] == "-0.30"
    assert one["verdict"] == four_networks.ONE

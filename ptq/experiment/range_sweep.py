"""The reference "ranges": observers, repairs and sources of images."""

import numpy as np
import pandas as pd

from ptq import paths
from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.experiment import committed_sweeps, network_study, range_study
from ptq.experiment.range_study import CALIBRATED, OBSERVED, OBSERVER_WORDS
from ptq.experiment.rounding_sweep import change
from ptq.networks import recipes

NAME = "ranges"
WORDS = {8: "eight", 4: "four"}
# A chapter measures some of these again, with the shipped networks.
REPEATED = (
    ("resnet8", OBSERVED[4]["mse"].name),
    ("depthwise", "w4a8-channel-minmax-analytic"),
    ("compact_cnn_tuned", CALIBRATED[4]["distilled"].name),
)
# What is asked of the sources: is the first as good as the second?
ASKED = (
    ("distilled", "real"),
    ("digits", "real"),
    ("noise", "real"),
    ("distilled", "digits"),
    ("distilled", "noise"),
)


def networks(frame: pd.DataFrame) -> list[str]:
    """The networks of the reference, in the order of the registry."""
    measured = set(frame.network)
    return [name for name in recipes.NETWORKS if name in measured]


def accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy (0 to 1): a row a trained network, a column a strategy."""
    index = ["network", "train_seed"]
    return frame.pivot(index=index, columns="strategy", values="accuracy")


def about_observers(frame: pd.DataFrame) -> dict[str, float | str]:
    """Whether observers differ at eight and at four bits, for a text.

    ``frame`` is the reference; each trained network ranks the observers.
    ``p_`` are Friedman's, ``apart_`` the points between the means of the
    best and the ``worst_``. ``shape`` says whether the first half of
    MQBench's table, no difference at eight bits, is contradicted; a test
    cannot confirm it.
    """
    told, wide = {"trained": len(accuracies(frame))}, accuracies(frame)
    for bits, word in WORDS.items():
        of = {key: one.name for key, one in OBSERVED[bits].items()}
        means = {key: wide[name].mean() for key, name in of.items()}
        told[f"p_{word}"] = replicates.friedman(wide[list(of.values())])
        told[f"apart_{word}"] = 100 * float(np.ptp(list(means.values())))
        told[f"worst_{word}"] = OBSERVER_WORDS[min(means, key=means.get)]
    differ = {
        word: told[f"p_{word}"] < SIGNIFICANCE for word in WORDS.values()
    }
    told["shape"] = "contradicted" if differ["eight"] else "not contradicted"
    told["at_four"] = "shown" if differ["four"] else "not shown"
    return told


def about_sources(frame: pd.DataFrame) -> dict[str, Interval | str | float]:
    """What images of other sources cost, in points, for a text.

    ``frame`` is the reference. The mean over its trained networks of each
    pair of ``ASKED``, by names such as ``distilled_real_four``, and the
    verdict on it as ``distilled_real_four_verdict``; Holm's correction is
    over all. ``distilled_seconds`` is the most that making images took, of
    a processor.
    """
    wide, moved = accuracies(frame), {}
    for bits, word in WORDS.items():
        for first, second in ASKED:
            pair = (CALIBRATED[bits][s].name for s in (first, second))
            one, other = (wide[name] for name in pair)
            moved[f"{first}_{second}_{word}"] = (one - other).to_numpy()
    found = {name: intervals.mean(shares) for name, shares in moved.items()}
    p = paired_tests.holm([replicates.p_value(s) for s in moved.values()])
    told = {name: 100 * mean for name, mean in found.items()}
    for (name, mean), adjusted in zip(found.items(), p, strict=True):
        told[f"{name}_verdict"] = paired_tests.verdict(mean, adjusted)
    made = frame.strategy.str.endswith("distilled")
    seconds = float(frame[made].cpu_seconds.max())
    return told | {"distilled_seconds": seconds}


def repaired(frame: pd.DataFrame, network: str) -> dict[bool, dict]:
    """Changes (points) of a network by grid per channel, and by repair."""
    return {
        per_channel: {
            words: 100 * change(frame, network, one.name).value
            for words, one in of.items()
        }
        for per_channel, of in range_study.REPAIRED.items()
    }


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again, with shipped networks.

    How many of ``REPEATED`` depends on the run's test images. Returns
    ``committed_sweeps.agreement``.
    """
    there = lab.shipped()
    known = frame[frame.train_seed == 42].set_index(["network", "strategy"])
    asked = committed_sweeps.repeated(
        [pair for pair in REPEATED if pair in known.index],
        lab.settings["test_images"],
        fewest=1,
    )
    n, found = manifest["constant"]["n"], []
    given = there.cifar.test_images[:n], there.cifar.test_labels[:n]
    for network, name in asked:
        models = there.run_folder / paths.MODELS
        of = network_study.subject(there.cifar, network, models)
        folder = there.run_folder / NAME / network
        found += range_study.records(of, [name], *given, folder)
    return committed_sweeps.agreement(known.loc[asked], found, manifest)

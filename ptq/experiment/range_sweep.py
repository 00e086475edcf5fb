"""The reference "ranges": observers, repairs and sources of images."""

import numpy as np
import pandas as pd
import scipy

from ptq import paths
from ptq.evidence import paired_tests
from ptq.evidence.intervals import LEVEL, Interval
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


def trained(frame: pd.DataFrame) -> int:
    """The number of trained networks in the reference."""
    return len(frame.groupby(["network", "train_seed"]))


def alike(frame: pd.DataFrame, names: list[str]) -> float:
    """p-value, or more, that strategies are right on as many images.

    Cochran's test in each trained network of the reference, added up. It
    asks how many images each pair of strategies judges differently. The
    reference knows only how many predictions differ from FP32's; so each of
    these counts, and p comes out too large, never too small.
    """
    statistic, count = 0.0, len(names)
    asked = frame[frame.strategy.isin(names)]
    for _, of in asked.groupby(["network", "train_seed"]):
        apart = ((of.correct - of.correct.mean()) ** 2).sum()
        changed = (of.disagreement * of.n).sum()
        statistic += count * apart / changed if changed else 0
    free = (count - 1) * trained(frame)
    return float(scipy.stats.chi2.sf(statistic, free))


def difference(
    frame: pd.DataFrame, first: str, second: str
) -> tuple[Interval, float]:
    """Accuracy of a strategy minus another's: mean, interval, and p.

    A share, over all trained networks of the reference; interval and p are
    of the test images, for these networks. Each prediction that differs from
    FP32's counts as a flip: both are too wide, never too narrow.
    """
    index = ["network", "train_seed"]
    one, other = (
        frame[frame.strategy == name].set_index(index)
        for name in (first, second)
    )
    mean = float((one.accuracy - other.accuracy).mean())
    changed = one.disagreement + other.disagreement
    error = float(np.sqrt((changed / one.n).sum()) / len(one))
    reach = error * float(scipy.stats.norm.ppf((1 + LEVEL) / 2))
    p = 2 * scipy.stats.norm.sf(abs(mean) / error) if error else 1.0
    return Interval(mean, mean - reach, mean + reach), float(p)


def about_observers(frame: pd.DataFrame) -> dict[str, float | str]:
    """Whether observers differ at eight and at four bits, for a text.

    ``frame`` is the reference. ``p_`` are of ``alike``, ``apart_`` the
    points between the means of the best and the ``worst_`` over networks.
    ``shape`` says whether the first half of MQBench's table, no difference
    at eight bits, is contradicted; a test cannot confirm it.
    """
    told = {"trained": trained(frame)}
    for bits, word in WORDS.items():
        of = {key: one.name for key, one in OBSERVED[bits].items()}
        means = {
            key: frame[frame.strategy == name].accuracy.mean()
            for key, name in of.items()
        }
        told[f"p_{word}"] = alike(frame, list(of.values()))
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

    ``frame`` is the reference. The ``difference`` of each pair of ``ASKED``,
    by names such as ``distilled_real_four``, and the verdict on it as
    ``distilled_real_four_verdict``; Holm's correction is over all.
    ``each_four`` lists that change by network, and ``distilled_seconds`` is
    the most that making images took, of a processor.
    """
    found = {}
    for bits, word in WORDS.items():
        for pair in ASKED:
            names = [CALIBRATED[bits][source].name for source in pair]
            found[f"{'_'.join(pair)}_{word}"] = difference(frame, *names)
    told = {name: 100 * mean for name, (mean, _) in found.items()}
    adjusted = paired_tests.holm([p for _, p in found.values()])
    for (name, (mean, _)), p in zip(found.items(), adjusted, strict=True):
        told[f"{name}_verdict"] = paired_tests.verdict(mean, p)
    for bits, word in WORDS.items():
        pair = [CALIBRATED[bits][s].name for s in ("distilled", "real")]
        told[f"each_{word}"] = "; ".join(
            f"{recipes.get(network).label} "
            f"{100 * change(frame, network, *pair):+.1f}"
            for network in networks(frame)
        )
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

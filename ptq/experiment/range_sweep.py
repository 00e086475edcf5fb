"""The reference "ranges": observers, repairs and sources of images."""

from collections.abc import Hashable, Mapping

import pandas as pd

from ptq import paths
from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.paired_tests import Flips
from ptq.experiment import committed_sweeps, network_study, range_study
from ptq.experiment.range_study import (
    CALIBRATED,
    MINMAX,
    OBSERVED,
    OBSERVER_WORDS,
    WIDE,
    Choice,
)
from ptq.networks import recipes

NAME = "ranges"
WORDS = {8: "eight", 4: "four"}
SHOWN = ("better", "worse")
# A chapter measures some of these again, with the shipped networks.
REPEATED = (
    ("compact_cnn", OBSERVED[4]["mse"].name),
    ("depthwise", "w4a8-channel-minmax-analytic"),
    ("resnet8", CALIBRATED[8]["noise"].name),
)


def judged(
    frame: pd.DataFrame, studied: Mapping[Hashable, Mapping[str, Choice]]
) -> pd.DataFrame:
    """What was ``studied``, each choice against its base, judged together.

    ``frame`` is the reference. A row is a network and both names that
    ``studied`` has for a choice. ``change`` of accuracy (a share) is the
    mean over trainings with Student's interval and test; of one training it
    is that of its images, with McNemar's. ``p`` is by Holm's correction over
    these rows, and the ``verdict``, too; ``accuracy`` is a mean.
    """
    by_choice = frame.groupby(["network", "strategy"])
    found = {
        (network, group, name): _over_trainings(
            by_choice.get_group((network, choice.name))
        )
        for network in committed_sweeps.networks(frame)
        for group, of in studied.items()
        for name, choice in of.items()
    }
    index = pd.MultiIndex.from_tuples(found)
    table = pd.DataFrame(list(found.values()), index=index)
    adjusted = paired_tests.holm(table.p.tolist())
    verdicts = map(paired_tests.verdict, table.pop("tested"), adjusted)
    return table.assign(p=adjusted, verdict=list(verdicts))


def _over_trainings(rows: pd.DataFrame) -> dict:
    """What one choice changes; rows have what it lost, gained."""
    lost, gained, n = (rows[c].to_numpy() for c in ("lost", "gained", "n"))
    if len(rows) > 1:
        shares = (gained - lost) / n
        tested = change = intervals.mean(shares)
        p = replicates.p_value(shares)
    else:
        counts = int(lost[0]), int(gained[0])
        p = paired_tests.mcnemar(*counts)
        tested = Flips(*counts, int(n[0]), p)
        change = paired_tests.difference(tested)
    accuracy = rows.accuracy.mean()
    return {"change": change, "tested": tested, "p": p, "accuracy": accuracy}


def basis(frame: pd.DataFrame) -> str:
    """What means, intervals and tests of ``judged`` are over, in words."""
    counts = frame.groupby("network").train_seed.nunique()
    if counts.max() == 1:
        return "over the images of one training of each network"
    told = ", ".join(
        f"{counts[name]} of {recipes.get(name).label}"
        for name in committed_sweeps.networks(frame)
    )
    alone = "; of one, over its images" if counts.min() == 1 else ""
    return f"over trainings ({told}{alone})"


def about_observers(frame: pd.DataFrame) -> dict[str, float | int | str]:
    """Whether observers differ at eight and at four bits, for a text.

    ``frame`` is the reference. ``shown_`` of ``asked_`` comparisons with
    min-max show a difference: those of the observers in ``differ_``.
    ``best_`` and ``worst_`` name the observers of the highest and the lowest
    accuracy on average over networks, which are ``apart_`` points apart.
    ``shape`` says whether the first half of MQBench's table, no difference
    at eight bits, is contradicted; a test cannot confirm it.
    """
    found, told = judged(frame, OBSERVED), {}
    for bits, word in WORDS.items():
        of = found.xs(bits, level=1)
        others = of.drop(MINMAX, level=1)
        means = 100 * of.groupby(level=1).accuracy.mean()
        told[f"asked_{word}"] = len(others)
        differ = others[others.verdict.isin(SHOWN)].index.unique(1)
        told[f"shown_{word}"] = int(others.verdict.isin(SHOWN).sum())
        names = [w for key, w in OBSERVER_WORDS.items() if key in differ]
        told[f"differ_{word}"] = ", ".join(names) or "none"
        told[f"best_{word}"] = OBSERVER_WORDS[means.idxmax()]
        told[f"worst_{word}"] = OBSERVER_WORDS[means.idxmin()]
        told[f"apart_{word}"] = float(means.max() - means.min())
    shown = told["shown_eight"] > 0
    told["shape"] = "contradicted" if shown else "not contradicted"
    return told


def about_sources(frame: pd.DataFrame) -> dict[str, str | float]:
    """What images without data cost each network, for a text.

    ``frame`` is the reference. ``distilled_eight`` lists the changes against
    training images, in points, by network; ``wide_eight`` has them where the
    logits have room; ``worst_noise_eight`` is the largest loss by noise,
    in points above zero.
    ``distilled_seconds`` is the most that making images took, of a
    processor.
    """
    found, told = judged(frame, CALIBRATED), {}
    for bits, word in WORDS.items():
        for name, key in (("distilled", "distilled"), ("wide", WIDE)):
            told[f"{name}_{word}"] = "; ".join(
                f"{recipes.get(network).label} "
                f"{100 * found.change[network, bits, key]:+.1f}, "
                f"{found.verdict[network, bits, key]}"
                for network in committed_sweeps.networks(frame)
            )
        noise = found.xs((bits, "noise"), level=(1, 2)).change
        told[f"worst_noise_{word}"] = -100 * min(one.value for one in noise)
    made = frame.strategy.str.endswith("distilled")
    seconds = float(frame[made].cpu_seconds.max())
    return told | {"distilled_seconds": seconds}


def repaired(frame: pd.DataFrame, network: str) -> dict[bool, dict]:
    """Changes (points) of a network by grid per channel, and by repair."""
    found = judged(frame, range_study.REPAIRED)
    return {
        per_channel: {
            words: 100 * found.change[network, per_channel, words].value
            for words in of
        }
        for per_channel, of in range_study.REPAIRED.items()
    }


def equalizing(frame: pd.DataFrame) -> str:
    """What equalizing alone does at one grid for each layer, in words.

    By network, the change (points) from min-max ranges to equalized ones.
    ``frame`` is the reference. These are differences of means; no test.
    """
    told = []
    for network in committed_sweeps.networks(frame):
        by_repair = repaired(frame, network)[False]
        gain = by_repair["equalized"] - by_repair[OBSERVER_WORDS[MINMAX]]
        told.append(f"{recipes.get(network).label} {gain:+.1f}")
    return "; ".join(told)


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again, with shipped networks.

    How many of ``REPEATED`` depends on the run's test images. Returns
    ``committed_sweeps.agreement``.
    """
    there = lab.shipped()
    known = frame[frame.train_seed == 42].set_index(["network", "strategy"])
    count = lab.settings["test_images"]
    asked = committed_sweeps.repeated(REPEATED, count, fewest=1)
    given, found = (there.test_images, there.test_labels), []
    for network, name in asked:
        models = there.run_folder / paths.MODELS
        of = network_study.subject(there.cifar, network, models)
        folder = there.run_folder / NAME / network
        found += range_study.records(of, [name], *given, folder)
    return committed_sweeps.agreement(known.loc[asked], found, manifest)

"""The reference "ranges": observers, repairs and sources of images."""

from collections.abc import Hashable, Mapping

import pandas as pd

from ptq import paths
from ptq.evidence import group_means, intervals, paired_tests
from ptq.evidence.intervals import Interval
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


def changes(
    frame: pd.DataFrame, studied: Mapping[Hashable, Mapping[str, Choice]]
) -> pd.DataFrame:
    """What each choice that was ``studied`` changes in each network.

    ``frame`` is the reference. A row is a network and both names that
    ``studied`` has for a choice: the ``change`` of accuracy against its base
    (a share), by training in ``trainings`` (n,), with Student's interval
    over these; ``accuracy`` (a share) is its mean over them. InputError where
    a network has one training.
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
    return pd.DataFrame(list(found.values()), index=index)


def _over_trainings(rows: pd.DataFrame) -> dict:
    """What one choice changes; rows have what it lost, gained."""
    shares = ((rows.gained - rows.lost) / rows.n).to_numpy()
    change, accuracy = intervals.mean(shares), rows.accuracy.mean()
    return {"change": change, "trainings": shares, "accuracy": accuracy}


def judged(
    frame: pd.DataFrame, studied: Mapping[Hashable, Mapping[str, Choice]]
) -> pd.DataFrame:
    """What each choice changes on average over the networks, judged together.

    A row is both names of a choice. ``change`` (a share) is the mean of the
    networks' own, by ``group_means.average``; ``p`` is by Holm's correction
    over these rows, and the ``verdict``, too.
    """
    by_choice = changes(frame, studied).groupby(level=[1, 2], sort=False)
    found = by_choice.trainings.agg(list).map(group_means.average)
    table = pd.DataFrame(found.tolist(), found.index, columns=["change", "p"])
    table["p"] = paired_tests.holm(table.p.tolist())
    verdicts = map(paired_tests.verdict, table.change, table.p)
    return table.assign(verdict=list(verdicts))


def basis(frame: pd.DataFrame) -> str:
    """What means, intervals and tests are over, in words."""
    counts = frame.groupby("network").train_seed.nunique()
    told = ", ".join(
        f"{counts[name]} of {recipes.get(name).label}"
        for name in committed_sweeps.networks(frame)
    )
    return f"over trainings ({told})"


def about_observers(frame: pd.DataFrame) -> dict[str, float | int | str]:
    """Whether observers differ at eight and at four bits, for a text.

    ``frame`` is the reference. ``shown_`` of ``asked_`` observers differ from
    min-max on average over the networks, ``better_`` for the better: those
    in ``differ_``.
    ``best_`` and ``worst_`` name the observers of the highest and the lowest
    accuracy on average, which are ``apart_`` points apart. ``shape`` says
    whether the first half of MQBench's table, no difference at eight bits,
    is contradicted; a test cannot confirm it.
    """
    found, told = judged(frame, OBSERVED), {}
    accuracy = changes(frame, OBSERVED).accuracy
    for bits, word in WORDS.items():
        verdicts = found.verdict[bits].drop(MINMAX)
        means = 100 * accuracy.xs(bits, level=1).groupby(level=1).mean()
        differ = verdicts.index[verdicts.isin(SHOWN)]
        told[f"asked_{word}"] = len(verdicts)
        told[f"shown_{word}"] = len(differ)
        told[f"better_{word}"] = int((verdicts == SHOWN[0]).sum())
        names = [w for key, w in OBSERVER_WORDS.items() if key in differ]
        told[f"differ_{word}"] = ", ".join(names) or "none"
        told[f"best_{word}"] = OBSERVER_WORDS[means.idxmax()]
        told[f"worst_{word}"] = OBSERVER_WORDS[means.idxmin()]
        told[f"apart_{word}"] = float(means.max() - means.min())
    shown = told["shown_eight"] > 0
    told["shape"] = "contradicted" if shown else "not contradicted"
    return told


def about_sources(frame: pd.DataFrame) -> dict[str, str | float]:
    """What images without data cost, for a text.

    ``frame`` is the reference. ``distilled_eight`` tells the change against
    training images in points, on average over the networks with its verdict,
    then by network; ``wide_eight`` has them where the logits have room, and
    ``room_eight`` what that room brings back. ``worst_noise_eight`` is the
    largest mean loss of a network by noise, in points above zero.
    ``distilled_seconds`` is the most that making images took, of a processor.
    """
    found, on_average = changes(frame, CALIBRATED), judged(frame, CALIBRATED)
    told = {}
    for bits, word in WORDS.items():
        for name, key in (("distilled", "distilled"), ("wide", WIDE)):
            average = on_average.loc[(bits, key)]
            each = ", ".join(
                f"{recipes.get(network).label} "
                f"{100 * found.change[network, bits, key].value:+.1f}"
                for network in committed_sweeps.networks(frame)
            )
            told[f"{name}_{word}"] = (
                f"{100 * average.change:+.1f}, {average.verdict} ({each})"
            )
        apart = (
            found.trainings[:, bits, WIDE]
            - found.trainings[:, bits, "distilled"]
        )
        told[f"room_{word}"] = 100 * group_means.average(apart)[0]
        noise = found.xs((bits, "noise"), level=(1, 2)).change
        told[f"worst_noise_{word}"] = -100 * min(one.value for one in noise)
    made = frame.strategy.str.endswith("distilled")
    seconds = float(frame[made].cpu_seconds.max())
    return told | {"distilled_seconds": seconds}


def repaired(frame: pd.DataFrame, network: str) -> dict[bool, dict]:
    """Changes (points) of a network by grid per channel, and by repair."""
    found = changes(frame, range_study.REPAIRED)
    return {
        per_channel: {
            words: 100 * found.change[network, per_channel, words].value
            for words in of
        }
        for per_channel, of in range_study.REPAIRED.items()
    }


def gain(
    frame: pd.DataFrame, network: str, per_channel: bool, *repairs: str
) -> Interval:
    """What the second of two repairs brings over the first, in points.

    Student's interval over the trainings of one network; ``frame`` is the
    reference, ``repairs`` are keys of ``range_study.REPAIRS``.
    """
    choices = {one: range_study.REPAIRED[per_channel][one] for one in repairs}
    found = changes(frame, {per_channel: choices}).trainings
    first, second = (found[network, per_channel, one] for one in repairs)
    return 100 * intervals.mean(second - first)


def equalizing(frame: pd.DataFrame) -> str:
    """What equalizing alone does at one grid for each layer, in words.

    By network, the change (points) from min-max ranges to equalized ones,
    by ``gain``; ``frame`` is the reference.
    """
    repairs = OBSERVER_WORDS[MINMAX], "equalized"
    return "; ".join(
        f"{recipes.get(network).label} "
        f"{gain(frame, network, False, *repairs):+.1f}"
        for network in committed_sweeps.networks(frame)
    )


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

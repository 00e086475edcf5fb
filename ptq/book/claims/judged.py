"""The paper's claims, judged by what this run and the sweeps measured.

Each function measures, or takes what was measured, and returns findings by
the names that the claims have in ``book/reference/paper.yml``. The rules
that choose the words are those of ``rules``.
"""

from collections import Counter

import numpy as np
import pandas as pd
from torch import nn

from ptq.book.claims import paper, rules
from ptq.book.claims.rules import Finding
from ptq.book.tables import networks
from ptq.data.cifar10 import SHAPE
from ptq.engines import eager_layers, torch_eager
from ptq.evidence import intervals, time_ratios
from ptq.evidence.intervals import Interval
from ptq.evidence.replicates import Ordering
from ptq.experiment import eager_biases, layer_studies, saturation
from ptq.experiment.laboratory import Experiment
from ptq.experiment.results import Timing
from ptq.measure import layer_errors, resources
from ptq.methods import eager_folding
from ptq.quantizer import calibration

MIXED = "mixed_precision_published"
RIVALS = ("naive", MIXED)
OPEN = (rules.BY_DEFINITION, rules.NOT_COMPARABLE)


def finding(name: str, ours: str, outcome: str) -> dict[str, Finding]:
    """One claim's finding by its name; KeyError where there is no such."""
    return {name: rules.finding("claims", name, ours, outcome)}


def counts(network: nn.Module) -> list[Finding]:
    """Findings on what follows from the network alone: sizes, work."""
    parameters = sum(p.numel() for p in network.parameters())
    fc1 = sum(p.numel() for p in network.fc1.parameters())
    macs = resources.macs(network, SHAPE)
    ours = {
        "parameters": parameters,
        "fc1_share": 100 * fc1 / parameters,
        "mmacs": sum(macs.values()) / 1e6,
        "conv2_share": 100 * macs["conv2"] / sum(macs.values()),
    }
    printed = paper.published("counts")
    return [
        rules.finding(
            "counts",
            name,
            f"{value:,}" if isinstance(value, int) else f"{value:.2f}",
            rules.printed(printed[name]["paper"], value),
        )
        for name, value in ours.items()
    ]


def causes_of_time(timing: Timing) -> dict[str, Finding]:
    """Claims that share out a speed-up, or take it for the strategy's.

    Of the gap between mixed precision and folding, the lower share that
    folding can have is judged, whichever step comes first.
    """
    first = _share(timing, 0, MIXED, "mixed_precision_folded", "folded")
    last = _share(timing, 1, MIXED, "naive", "folded")
    others = _share(timing, 0, "fp32", "fp32_channels_last", "folded")
    found = timing.judged(timing.speedup("fp32", "folded"))
    ratio = paper.published()["folded"]["speedup"]
    return (
        finding(
            "mixed_price",
            f"{100 * first:.0f} % of it is owed to folding if that comes "
            f"first, {100 * last:.0f} % if last",
            rules.sole_cause(min(first, last, key=lambda part: part.low)),
        )
        | finding(
            "integers",
            f"{100 * others:.0f} % of it is owed to folding and memory "
            "layout",
            rules.sole_cause(others),
        )
        | finding(
            "ratio",
            f"{found:.2f} times here",
            rules.same_ratio(ratio, found),
        )
    )


def _share(timing: Timing, step: int, *names: str) -> Interval:
    """Share of one step in the speed-up from the first to the last."""
    found = time_ratios.decomposition([timing.of(name) for name in names])
    return timing.judged(found[step])


def best(
    timing: Timing, orders: dict[tuple[str, str], Ordering]
) -> dict[str, Finding]:
    """The claim that folding is the best trade-off among its rivals."""
    slower = [rules.faster(timing.time_verdict(n, "folded")) for n in RIVALS]
    found = [orders["folded", name] for name in RIVALS]
    accurate = [rules.order(-o.difference.value, o.p_holm) for o in found]
    return finding(
        "best",
        f"of two rivals, {slower.count(rules.REPRODUCED)} shown slower, "
        f"{accurate.count(rules.REPRODUCED)} more accurate; less accurate: "
        f"{accurate.count(rules.CONTRADICTED)}",
        rules.best(list(zip(slower, accurate, strict=True))),
    )


def correction(lab: Experiment) -> dict[str, Finding]:
    """Whether the published bias correction corrects, and gains time."""
    prepared = torch_eager.prepare(lab.network)
    shifts = eager_biases.published_shifts(
        lab.network, prepared, lab.calibration
    )
    largest = max(float(shift.abs().max()) for shift in shifts.values())
    first, second = (
        lab.logits(lab.build(name), lab.test_images[:1000])
        for name in ("naive", "bias_correction_published")
    )
    apart = float((first - second).abs().max())
    twice = lab.times().speedup("naive", "bias_correction_published")
    return finding(
        "correction", f"largest shift {largest:g}", rules.acts(largest)
    ) | finding(
        "correction_time",
        f"{twice:.2f} times, but outputs differ by {apart:g}: one network "
        "timed twice",
        rules.acts(apart),
    )


def sensitivity(lab: Experiment) -> dict[str, Finding]:
    """Whether conv2 suffers most: the published metric, and like for like."""
    images = layer_studies.error_images(lab)
    unrounded = torch_eager.prepare(
        eager_folding.fold(lab.network), eager_folding.fusable(lab.network)
    )
    control, alike = (
        layer_errors.layer_errors(lab.network, network, images, points)
        for network, points in (
            (unrounded, layer_errors.PUBLISHED_POINTS),
            (lab.build("folded"), layer_errors.LIKE_FOR_LIKE_POINTS),
        )
    )
    published, errors = (
        {name: error.mse for name, error in found.items()}
        for found in (control, alike)
    )
    quietest = min(alike, key=lambda name: alike[name].sqnr)
    return finding(
        "sensitivity",
        f"the metric reads {published['conv2']:.2f} without quantization; "
        f"like for like {max(errors, key=errors.get)} is worst by MSE, "
        f"{quietest} by SQNR",
        rules.most_sensitive("conv2", errors, published),
    )


def codes(lab: Experiment) -> dict[str, Finding]:
    """How many codes an activation has, and which of them are wasted."""
    folded = lab.build("folded")
    scale, _ = eager_layers.activation_scales(lab.build("naive"))["conv1"]
    grid = calibration.activation_grids(
        lab.network, ["conv1"], lab.calibration, qmax=1
    )["conv1"]
    used = round(float(grid.scale) / scale) + 1
    apart = sum(isinstance(m, nn.ReLU) for m in folded.modules())
    _, deleted = eager_layers.activation_scales(folded)["fc1"]
    return finding(
        "eight_bits", f"{used} codes", rules.printed(256, used)
    ) | finding(
        "all_codes",
        f"{apart} ReLU is a layer of its own; {deleted} of {used} codes of "
        "fc1 hold what it deletes",
        rules.printed(0, apart),
    )


def samples(draws: pd.DataFrame) -> dict[str, Finding]:
    """Claims on images: which of them calibrate, and the time of one.

    ``draws`` is the table of the sweep "calibration".
    """
    usual = draws[(draws.images == 100) & (draws.observer == "minmax")]
    unseen, seen = (
        usual.accuracy[usual.source == name].to_numpy()
        for name in ("validation", "training")
    )
    change = intervals.welch(unseen, seen)
    # A last batch that is not full is divided by 64 all the same.
    large, small = (n / (-(-n // 64) * 64) - 1 for n in (10_000, 100))
    printed = paper.published()["folded"]["milliseconds"]
    return finding(
        "calibration",
        f"{100 * change:+.2f} points against validation images, {len(seen)} "
        "draws",
        rules.as_good(change),
    ) | finding(
        "mean_time",
        f"off by {100 * large:.1f} % for 10,000 images, {100 * small:.0f} % "
        "for 100",
        rules.unbiased(min(large, small), 0.0005 / printed),
    )


def saturation_rows(
    runs: dict[str, saturation.Predictions], labels: np.ndarray
) -> list[dict[str, str]]:
    """Each run of ``saturation.runs`` beside that with all instructions.

    ``labels`` (N,) are the true classes of the images.
    """
    cases = {
        (title, bits): run.predictions[bits].numpy()
        for title, run in runs.items()
        for bits in saturation.BITS
    }
    against = {case: ("all", case[1]) for case in cases if case[0] != "all"}
    found = networks.paired(cases, labels, against)
    return [
        {
            "instructions": title,
            "activations": f"{bits} bits",
            "sums beyond 16 bits": "clipped"
            if runs[title].saturates
            else "kept",
            **row,
        }
        for (title, bits), row in found.items()
    ]


def tally(findings: list[Finding]) -> Counter:
    """How often each verdict was given where another was possible."""
    return Counter(f.outcome for f in findings if f.outcome not in OPEN)

"""Figures and tables of data, training, predictions and time steps."""

from pathlib import Path

import numpy as np
from torch import Tensor

from ptq.book import confusion_plots, figures, plots, show, tables
from ptq.data.cifar10 import CLASSES, Cifar10
from ptq.evidence import paired_tests, time_ratios
from ptq.experiment.results import Timing


def samples(name: str, folder: Path, cifar: Cifar10) -> None:
    """Figure of two training images of each class."""
    pairs = [(cifar.train_labels == k).nonzero()[:2, 0] for k in range(10)]
    chosen = [int(pair[row]) for row in range(2) for pair in pairs]
    figures.show(
        plots.images(cifar.train_images[chosen], CLASSES * 2),
        folder,
        name,
        "Two training images of each class: some are easy even at this "
        "size, some are not.",
        "Twenty small colour images in two rows, one column for each of the "
        "ten classes from airplane to truck.",
    )


def training(name: str, folder: Path, history: list[dict], n: int) -> None:
    """Figure of ``history``, as ``training.train`` writes it.

    ``n`` is the number of validation images.
    """
    best = max(history, key=lambda row: row["validation_accuracy"])
    last = history[-1]
    figures.show(
        plots.training_curve(history, n),
        folder,
        name,
        f"After epoch {history.index(best) + 1} of {len(history)} the "
        "network only memorizes its training images: the training loss "
        f"falls on, to {last['train_loss']:.2f} nats, while the validation "
        f"loss rises from {best['validation_loss']:.2f} to "
        f"{last['validation_loss']:.2f}.",
        "Two line charts over epochs. Training loss falls steadily; "
        "validation loss falls, then rises. Training accuracy climbs past "
        "validation accuracy, which stays level within its interval. A "
        "dotted line marks the epoch of the best validation accuracy.",
    )


def predictions(
    name: str, folder: Path, images: Tensor, found: Tensor, labels: Tensor
) -> None:
    """Figure of up to ten images with the classes predicted for them.

    ``images`` is uint8 (N, 3, 32, 32), classes are integers (N,).
    """
    titles = [
        CLASSES[p] if p == k else f"{CLASSES[p]}\n({CLASSES[k]})"
        for p, k in zip(found, labels, strict=True)
    ]
    figures.show(
        plots.images(images, titles),
        folder,
        name,
        f"The first {len(images)} test images and the network's predictions: "
        f"{int((found == labels).sum())} are right. Where one is wrong, the "
        "true class stands in brackets.",
        f"{len(images)} small images, the predicted class above each.",
    )


def confusion(
    name: str, folder: Path, found: np.ndarray, labels: np.ndarray
) -> None:
    """Figure of how often each class, integers (N,), is taken for which."""
    counts = paired_tests.confusion(found, labels, classes=len(CLASSES))
    right = counts.diagonal()
    wrong = counts - np.diag(right)
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    figures.show(
        confusion_plots.confusion(counts),
        folder,
        name,
        f"The commonest mistake: {wrong.max()} images of class "
        f"{CLASSES[true]} are taken for {CLASSES[taken]}.",
        "A ten by ten matrix of counts, true class by predicted class. The "
        f"diagonal, {right.min()} to {right.max()}, dominates.",
    )


def steps(name: str, session: Timing, networks: dict[str, str]) -> None:
    """Table of the speed-up of each step, and its share of the whole.

    ``networks`` gives, for each network of the timing but the first, "",
    the step that leads to it.
    """
    names = list(networks)
    shares = time_ratios.decomposition([session.of(n) for n in names])
    whole = session.speedup(names[0], names[-1]).value
    rows = [
        {
            "step": networks[after],
            "speed-up by itself": f"{session.speedup(before, after):.2f}",
            "time": session.verdict(before, after),
            "share of the whole (%)": f"{100 * share:.0f}",
        }
        for before, after, share in zip(
            names[:-1], names[1:], shares, strict=True
        )
    ]
    caption = (
        f"What makes the folded integer network {whole:.1f} times as fast as "
        f"FP32 as published ({session.conditions}). "
        f"{tables.remarks([session], names)}"
    )
    show.table(rows, name, caption)

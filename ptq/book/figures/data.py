"""Images, what is predicted for them, and how the network learned that."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ptq.book import show, style
from ptq.book.style import AFTER, BEFORE, NEUTRAL
from ptq.data.cifar10 import CLASSES, Cifar10
from ptq.evidence import intervals


@style.styled
def images(pixels: Tensor, titles: Iterable[str]) -> Figure:
    """Images, uint8 (N, 3, 32, 32), ten a row, with a title each."""
    titles = list(titles)
    lines = [line for text in titles for line in text.split("\n")]
    longest = max(map(len, lines), default=0)
    size = 8 if longest < 12 else 7  # else titles overlap
    rows = max(-(-len(pixels) // 10), 1)
    panels = {"nrows": rows, "ncols": 10, "squeeze": False}
    made, axes = style.figure(7.0, 0.95 * rows, **panels)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, pixels, titles, strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="none")
        axis.set_title(title, fontsize=size)
    return made


def samples(name: str, folder: Path, cifar: Cifar10) -> None:
    """Show two training images of each class."""
    pairs = [(cifar.train_labels == k).nonzero()[:2, 0] for k in range(10)]
    chosen = [int(pair[row]) for row in range(2) for pair in pairs]
    show.figure(
        images(cifar.train_images[chosen], CLASSES * 2),
        folder,
        name,
        "Two training images of each class: some are easy even at this "
        "size, some are not.",
        "Twenty small colour images in two rows, one column for each of the "
        "ten classes from airplane to truck.",
    )


def predictions(
    name: str, folder: Path, pixels: Tensor, found: Tensor, labels: Tensor
) -> None:
    """Show up to ten images with the classes predicted for them.

    ``pixels`` is uint8 (N, 3, 32, 32), classes are integers (N,).
    """
    titles = [
        CLASSES[p] if p == k else f"{CLASSES[p]}\n({CLASSES[k]})"
        for p, k in zip(found, labels, strict=True)
    ]
    show.figure(
        images(pixels, titles),
        folder,
        name,
        f"The first {len(pixels)} test images and the network's predictions: "
        f"{int((found == labels).sum())} are right. Where one is wrong, the "
        "true class stands in brackets.",
        f"{len(pixels)} small images, the predicted class above each.",
    )


def training(name: str, folder: Path, history: list[dict], n: int) -> None:
    """Show ``history``, as ``training.train`` writes it.

    It has a row an epoch, with accuracies as shares; ``n`` validation images
    were counted.
    """
    best = max(history, key=lambda row: row["validation_accuracy"])
    last = history[-1]
    show.figure(
        _curves(history, n),
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


@style.styled
def _curves(history: list[dict], n: int) -> Figure:
    """Loss (nats) and accuracy (percent) per epoch."""
    made, axes = style.figure(7.0, 3.0, ncols=2)
    epochs = np.arange(1, len(history) + 1)
    looks = {"train": (BEFORE, "--"), "validation": (AFTER, "-")}
    for axis, what, scale in zip(
        axes, ("loss", "accuracy"), (1, 100), strict=True
    ):
        for part, (colour, line) in looks.items():
            values = [scale * row[f"{part}_{what}"] for row in history]
            axis.plot(epochs, values, line, color=colour, label=part)
        axis.set_xlabel("epoch")
    counts = [round(n * row["validation_accuracy"]) for row in history]
    found = [100 * intervals.wilson(count, n) for count in counts]
    ends = [f.low for f in found], [f.high for f in found]
    band = {"color": AFTER, "alpha": 0.3, "linewidth": 0}
    axes[1].fill_between(epochs, *ends, label="95 % interval", **band)
    best = 1 + int(np.argmax(counts))
    for axis in axes:
        axis.axvline(best, color=NEUTRAL, linestyle=":", label="best epoch")
    axes[0].set_ylabel("cross entropy (nats)")
    axes[1].set_ylabel("accuracy (%)")
    axes[1].legend()
    return made

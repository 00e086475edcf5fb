"""Drawings of ideas as chapters show them: with caption and alt text."""

from pathlib import Path

from torch import Tensor, nn

from ptq.book import show
from ptq.book.drawings import networks, numbers
from ptq.book.drawings.parts import number
from ptq.engines import torch_eager
from ptq.evidence.paired_tests import Flips
from ptq.methods import eager_folding
from ptq.quantizer import affine
from ptq.quantizer.affine import Grid


def number_line(name: str, x: Tensor, grid: Grid, folder: Path) -> None:
    """Show the codes that values get on a ``grid`` of eight codes.

    ``x``, float32 (5,), are -1 to 3, the last beyond the grid.
    """
    low, high = (number(end, 2) for end in affine.ends(grid))
    show.figure(
        numbers.codes(x, grid),
        folder,
        name,
        f"Eight codes, {float(grid.scale):.3f} apart. Rounding moves a "
        "value to the nearest point; clipping moves it to the last point, "
        "however far away that is.",
        f"A number line with eight points from {low} to {high} and the "
        "codes 0 to 7 below them. Arrows lead from the values −1, 0, 1 and 2 "
        "to the nearest points, and a long arrow from 3 back to the last "
        "point.",
    )


def observers(
    name: str, network: nn.Module, images: Tensor, folder: Path
) -> None:
    """Show the observers of a float network, prepared for torch's engines.

    They watch ``images``, float32 (N, 3, 32, 32). InputError where there are
    none.
    """
    prepared = torch_eager.prepare(network)
    prepared(images)
    seen = torch_eager.observed(prepared)
    show.figure(
        networks.observers(prepared, seen),
        folder,
        name,
        f"The {len(seen)} observers of the prepared network, and what "
        f"they keep after {len(images):,} calibration images: the "
        "smallest and the largest value that has passed.",
        "A column of boxes from the input's stub to fc2. Beside the stub, "
        "the convolutions, BN and the linear layers stands an observer with "
        "two numbers and a bar for the range. Ranges are wide behind fc1 and "
        "fc2 and narrow behind conv1.",
    )


def one_box(
    name: str, network: nn.Module, folded: nn.Module, folder: Path
) -> None:
    """Show how a convolution, its BN and its ReLU become one layer.

    They are the second block of a float ``network`` with ``blocks``;
    ``folded`` is its folded copy. EngineError where torch has no kernels.
    """
    rounded = [
        {place.removeprefix("module.") for place in torch_eager.observed(it)}
        for it in (
            torch_eager.prepare(network),
            torch_eager.prepare(folded, eager_folding.fusable(network)),
        )
    ]
    show.figure(
        networks.folding(network.blocks[1], (network, folded), rounded),
        folder,
        name,
        "The second convolution, its BN and its ReLU, and the one layer that "
        "does what the three did.",
        "Three boxes in a row, conv2, bn2 and relu2, with arrows from all of "
        "them to one box below. Marks of a rounding stand behind conv2 and "
        "bn2 above, and once behind the one box.",
    )


def channel_grids(name: str, weight: Tensor, folder: Path) -> None:
    """Show one grid for the folded conv1, and one for each channel.

    ``weight`` is float32 (C, ...).
    """
    show.figure(
        numbers.grids(weight),
        folder,
        name,
        "The weights of three channels of the folded conv1, those with the "
        "largest, a middling and the smallest range. Lines: the points of a "
        "grid of 3 bits. Below each: the SQNR on a grid of 8 bits.",
        "Three rows of dots, once over one wide grid that all share, once "
        "over grids that are as wide as each row. In the lowest row the "
        "shared grid has few points among the dots, the other has eight.",
    )


def paired(
    name: str, pair: Flips, right: int, names: tuple[str, str], folder: Path
) -> None:
    """Show test images by who is right: a reference and another network.

    ``right`` counts those on which the reference, the first name, is right.
    """
    first, second = names
    show.figure(
        numbers.paired(pair, right, names),
        folder,
        name,
        f"The {pair.n:,} test images by who is right: {pair.lost} lost, "
        f"{pair.gained} gained. The numbers at the margins are those that "
        "an accuracy is made of.",
        f"A table of two rows and two columns: {first} right or wrong, "
        f"{second} right or wrong. Lost {pair.lost}, gained {pair.gained}, "
        f"both right {right - pair.lost:,}, and the others both wrong.",
    )

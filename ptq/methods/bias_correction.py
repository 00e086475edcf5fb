"""By how much a layer is wrong on average, channel by channel."""

from torch import Tensor


def mean_shift(wanted: Tensor, found: Tensor) -> Tensor:
    """Mean of ``wanted - found`` for each channel. Equation (eq-bias-shift).

    Both are float32 (N, C, H, W) or (N, C) at the same point of two
    networks; returns (C,). The mean is over images and positions. Raises
    ValueError where the shapes differ.
    """
    if wanted.shape != found.shape:
        raise ValueError(
            f"shapes {tuple(wanted.shape)} and {tuple(found.shape)} differ: "
            "compare the same point of both networks"
        )
    over = [axis for axis in range(wanted.dim()) if axis != 1]
    return (wanted - found).mean(over)

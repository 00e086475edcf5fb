"""Images normalized, split and drawn by seeded generators."""

import torch
from torch import Tensor

from ptq import input_checks

VALIDATION_IMAGES = 5_000


def normalize(
    images: Tensor,
    mean: float | tuple[float, ...],
    std: float | tuple[float, ...],
) -> Tensor:
    """Map uint8 pixels (N, C, H, W) to float32 (p / 255 - mean) / std.

    As torchvision's ToTensor and Normalize do, in bulk; with one mean and
    one std, any shape will do, else there is one for each channel. Raises
    InputError for another dtype than uint8, whose range cannot be known,
    and where there are no images.
    """
    input_checks.check_pixels(images)
    mean, std = (
        torch.tensor(v).reshape(-1, 1, 1) if isinstance(v, tuple) else v
        for v in (mean, std)
    )
    # In place on the new tensor: uint8 is never float32 already.
    return images.to(torch.float32).div_(255 * std).sub_(mean / std)


def split(seed: int, size: int = 50_000) -> tuple[Tensor, Tensor]:
    """Indices (int64) of the training and validation images.

    The last ``VALIDATION_IMAGES`` of one seeded permutation of ``size``
    validate: shapes (size - 5000,) and (5000,). Raises ValueError where
    that leaves no training images.
    """
    if size <= VALIDATION_IMAGES:
        raise ValueError(
            f"size={size}: leaves no training images, as "
            f"{VALIDATION_IMAGES:,} validate; expected more than those"
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(size, generator=generator)
    return order[:-VALIDATION_IMAGES], order[-VALIDATION_IMAGES:]


def draw(indices: Tensor, count: int, seed: int) -> Tensor:
    """``count`` different entries of ``indices``, by a seeded draw.

    ``indices`` is int64 (M,), the result int64 (count,). Raises ValueError
    unless ``count`` is 1 to M.
    """
    if not 1 <= count <= len(indices):
        raise ValueError(
            f"count={count}: expected 1 to {len(indices)} images to draw"
        )
    generator = torch.Generator().manual_seed(seed)
    return indices[torch.randperm(len(indices), generator=generator)[:count]]

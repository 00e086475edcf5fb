"""Common corruptions of images, at five strengths each.

After Hendrycks and Dietterich (2019, arXiv 1903.12261). The four kinds and
their strengths are those of CIFAR-10-C, made anew: no file of theirs is
needed. Pixels are rounded to the nearest integer; theirs are cut off.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from ptq import input_checks
from ptq.registry import Registry

STRENGTHS = range(1, 6)


def noise(images: Tensor, deviation: float, seed: int = 42) -> Tensor:
    """Gaussian noise on each pixel, clipped at 0 and 255.

    ``images`` and result are uint8 (N, C, H, W); ``deviation`` is in units
    of the whole range. The noise of an image depends on its place and on
    ``seed`` alone: at another strength it is the same, but larger.
    """
    pixels = _floats(images)
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal(pixels.shape, dtype=np.float32)
    return _pixels(pixels + 255 * deviation * drawn)


def blur(images: Tensor, deviation: float) -> Tensor:
    """A Gaussian blur; ``deviation`` is in pixels.

    ``images`` and result are uint8 (N, C, H, W). Beyond the border, the
    nearest pixel counts.
    """
    sigmas = (0, 0, deviation, deviation)
    pixels = _floats(images)
    return _pixels(ndimage.gaussian_filter(pixels, sigmas, mode="nearest"))


def contrast(images: Tensor, factor: float) -> Tensor:
    """Each channel of each image drawn to its mean; ``factor`` 0 to 1 stays.

    ``images`` and result are uint8 (N, C, H, W).
    """
    pixels = _floats(images)
    means = pixels.mean((2, 3), keepdims=True)
    return _pixels((pixels - means) * factor + means)


def jpeg(images: Tensor, quality: float) -> Tensor:
    """Written as JPEG and read back; ``quality`` is Pillow's, 1 to 95.

    ``images`` and result are uint8 (N, C, H, W), of one channel or three;
    InputError for another number.
    """
    pixels = _floats(images).astype(np.uint8).transpose(0, 2, 3, 1)
    if pixels.shape[3] not in (1, 3):
        raise input_checks.InputError(
            f"images have {pixels.shape[3]} channels: expected 1 or 3, as "
            "JPEG has them"
        )
    read = np.empty_like(pixels)
    for place, image in enumerate(pixels):
        packed = io.BytesIO()
        plain = Image.fromarray(
            image.squeeze(2) if image.shape[2] == 1 else image
        )
        plain.save(packed, "JPEG", quality=int(quality))
        read[place] = np.asarray(Image.open(packed)).reshape(image.shape)
    return torch.from_numpy(read.transpose(0, 3, 1, 2).copy())


@dataclass(frozen=True)
class Corruption:
    """A kind: its name in words, what makes it, and how much by strength.

    ``make`` takes images, uint8 (N, C, H, W), and one of ``amounts``.
    """

    label: str
    make: Callable[[Tensor, float], Tensor]
    amounts: tuple[float, ...]


CORRUPTIONS = Registry(
    "corruption",
    {
        "noise": Corruption("noise", noise, (0.04, 0.06, 0.08, 0.09, 0.1)),
        "blur": Corruption("blur", blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
        "contrast": Corruption(
            "low contrast", contrast, (0.75, 0.5, 0.4, 0.3, 0.15)
        ),
        "jpeg": Corruption("JPEG", jpeg, (80, 65, 58, 50, 40)),
    },
)


def corrupted(images: Tensor, name: str, strength: int) -> Tensor:
    """Images after one of ``CORRUPTIONS``, uint8 (N, C, H, W) as before.

    ``strength`` is one of ``STRENGTHS``. InputError where images are not
    uint8 pixels of that shape, or the strength is another;
    UnknownNameError names the corruptions that there are.
    """
    row = CORRUPTIONS.row(name)
    if strength not in STRENGTHS:
        raise input_checks.InputError(
            f"strength={strength}: expected a whole number from 1 to 5"
        )
    return row.make(images, row.amounts[strength - 1])


def _floats(images: Tensor) -> np.ndarray:
    """Pixels as float32 (N, C, H, W), 0 to 255; InputError for no images."""
    input_checks.check_pixels(images)
    if images.ndim != 4:
        raise input_checks.InputError(
            f"images have shape {tuple(images.shape)}: expected (N, C, H, W)"
        )
    return images.cpu().numpy().astype(np.float32)


def _pixels(values: np.ndarray) -> Tensor:
    """The nearest pixels, uint8, of any finite values."""
    return torch.from_numpy(np.rint(values).clip(0, 255).astype(np.uint8))

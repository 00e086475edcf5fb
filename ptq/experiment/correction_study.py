"""What bias corrections leave of the layers' mean errors."""

from collections.abc import Iterable

import pandas as pd
from torch import Tensor, nn

from ptq.experiment import eager_biases
from ptq.graph.module_outputs import capture
from ptq.methods import bias_correction
from ptq.networks.compact_cnn import LAYERS


def mean_errors(
    network: nn.Module, quantized: nn.Module, images: Tensor
) -> dict[str, Tensor]:
    """Mean error (C,) of each channel before ReLU, by quantized layer.

    ``network`` is the folded float network; ``images`` is float32
    (N, 3, 32, 32). Raises what ``capture`` and ``outputs_before_relu``
    raise.
    """
    return _errors(capture(network, LAYERS, images), quantized, images)


def _errors(
    wanted: dict[str, Tensor], quantized: nn.Module, images: Tensor
) -> dict[str, Tensor]:
    found = eager_biases.outputs_before_relu(quantized, wanted, images)
    return {
        name: -bias_correction.mean_shift(wanted[name], found[name])
        for name in wanted
    }


def percent_left(
    errors: dict[str, Tensor], uncorrected: dict[str, Tensor]
) -> dict[str, float]:
    """Mean absolute error (C,), in percent of the uncorrected, by layer."""
    return {
        name: 100 * float(e.abs().mean() / uncorrected[name].abs().mean())
        for name, e in errors.items()
    }


def left_by_count(
    network: nn.Module,
    quantized: nn.Module,
    draws: list[Tensor],
    counts: Iterable[int],
    images: Tensor,
) -> dict[int, pd.DataFrame]:
    """Correct with the first images of each draw; what is left on others.

    ``draws`` and ``images`` are float32 (N, 3, 32, 32). The result has, for
    each of the ``counts``, a row a draw and a column a layer, as of
    ``percent_left``. Errors as of ``eager_biases.correct_biases``.
    """
    wanted = capture(network, LAYERS, images)
    uncorrected = _errors(wanted, quantized, images)
    left = {}
    for count in counts:
        corrected = (
            eager_biases.correct_biases(network, quantized, drawn[:count])
            for drawn in draws
        )
        left[count] = pd.DataFrame(
            percent_left(_errors(wanted, one, images), uncorrected)
            for one in corrected
        )
    return left


def harmless(left: dict[int, pd.DataFrame]) -> str:
    """A sentence on the numbers of images that harmed no layer.

    A layer is harmed where more is left than 100 percent.
    """
    safe = [
        str(n) for n, found in left.items() if (found < 100).all(axis=None)
    ]
    if not safe:
        return "Each number of images harmed some layer in some draw."
    *others, last = safe
    listed = f"{', '.join(others)} or {last}" if others else last
    plural = "" if last == "1" else "s"
    return f"With {listed} image{plural} it harmed no layer in any draw."

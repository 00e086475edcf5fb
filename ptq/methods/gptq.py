"""GPTQ: each rounding error is made up for by the weights still to come.

Frantar et al. (2022), from the second-order analysis of Hassibi and Stork
(1993).
"""

import torch
from torch import Tensor

from ptq.methods.rounding_problems import Problem, solved
from ptq.quantizer.network import QuantizedNetwork


def gptq(
    network: QuantizedNetwork, images: Tensor, toward_float: bool = False
) -> QuantizedNetwork:
    """A copy with weights rounded one input after another, and compensated.

    Scales stay as they are. ``images`` (N, ...) are as the network takes
    them. With ``toward_float``, the filters that are rounded are those that
    come nearest to the float network's results, given what the layer reads
    now. UnsupportedError where images do not fit.
    """
    return solved(network, images, compensated, toward_float)


def compensated(of: Problem) -> tuple[Tensor, Tensor]:
    """Codes by GPTQ, (groups, k, C_out / groups), and the old scale.

    Inputs with the largest variance come first. Row j of the Cholesky factor
    of the inverse of H has the shares by which weights after j make up for
    its error.
    """
    order = of.gram.diagonal(dim1=1, dim2=2).argsort(1, descending=True)
    row = torch.arange(len(order))[:, None]
    gram = of.gram[row[:, :, None], order[:, :, None], order[:, None]]
    lower = torch.linalg.cholesky(gram)
    left = torch.cholesky_solve(of.pull[row, order], lower)
    upper = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
    codes = torch.empty_like(left)
    for j in range(left.shape[1]):
        codes[:, j] = of.nearest(left[:, j], of.scale[:, 0])
        error = left[:, j] - codes[:, j] * of.scale[:, 0]
        shares = upper[:, j] / upper[:, j, j, None]
        left[:, j:] -= shares[:, j:, None] * error[:, None]
    result = torch.empty_like(codes)
    result[row, order] = codes
    return result, of.scale

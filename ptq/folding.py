"""Batch normalization folded into the convolution before it."""

import copy

import torch
from torch import nn


def fold_batch_norm(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that does what ``conv`` and then ``bn`` do.

    Equations (eq-fold-weight) and (eq-fold-bias), for BN in eval mode.
    """
    gain = bn.weight / torch.sqrt(bn.running_var + bn.eps)  # (C,)
    old_bias = 0.0 if conv.bias is None else conv.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(
        (conv.weight * gain[:, None, None, None]).detach()
    )
    folded.bias = nn.Parameter(
        (bn.bias + (old_bias - bn.running_mean) * gain).detach()
    )
    return folded


def fusable(network: nn.Module) -> list[tuple[str, str]]:
    """(convolution, ReLU) of each of the ``blocks``, BN being folded."""
    return [(conv, relu) for conv, _, relu in network.blocks]


def fold(network: nn.Module) -> nn.Module:
    """A copy of ``network`` with every BN of its ``blocks`` folded.

    ``blocks`` names modules: (convolution, BN, ReLU), with dots where they
    are nested. The copy is in eval mode and has an Identity where a BN was.
    """
    folded = copy.deepcopy(network).eval()
    for conv, bn, _ in network.blocks:
        layers = folded.get_submodule(conv), folded.get_submodule(bn)
        folded.set_submodule(conv, fold_batch_norm(*layers))
        folded.set_submodule(bn, nn.Identity())
    return folded

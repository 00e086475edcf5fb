"""Batch normalization folded into the convolution before it."""

import copy

import torch
from torch import nn

from ptq import input_checks
from ptq.graph import allow_list, module_groups
from ptq.graph.plain_copies import evaluated


def fold_batch_norm(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that computes ``conv`` followed by ``bn``.

    Equations (eq-fold-weight) and (eq-fold-bias), for BN in eval mode, in
    float32 (Jacob et al., 2018, 3.2). A BN without parameters has gain 1
    and shift 0. Both are kept. Raises UnsupportedError where the channels
    are not as many, or ``bn`` keeps no running statistics, InputError where
    a variance is zero or negative with its eps.
    """
    if bn.running_var is None or bn.num_features != conv.out_channels:
        raise allow_list.UnsupportedError(
            f"{bn}: expected running statistics of {conv.out_channels} "
            "channels, to fold it into the convolution"
        )
    gamma = 1.0 if bn.weight is None else bn.weight
    beta = 0.0 if bn.bias is None else bn.bias
    gain = gamma / torch.sqrt(bn.running_var + bn.eps)  # (C,)
    input_checks.check_finite("gamma / sqrt(running_var + eps)", gain)
    old_bias = 0.0 if conv.bias is None else conv.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(
        (conv.weight * gain[:, None, None, None]).detach()
    )
    folded.bias = nn.Parameter(
        (beta + (old_bias - bn.running_mean) * gain).detach()
    )
    return folded


def fusable(network: nn.Module) -> list[tuple[str, str]]:
    """(convolution, ReLU) of each of the ``blocks`` that has a ReLU.

    BN is folded, or will be. Raises UnsupportedError as ``fold`` does.
    """
    blocks = module_groups.blocks(network, allow_list.check(network))
    return [(conv, relu) for conv, _, relu in blocks if relu is not None]


def fold(network: nn.Module) -> nn.Module:
    """A copy of ``network`` with every BN of its ``blocks`` folded.

    ``blocks`` names modules: (convolution, BN, ReLU), with dots where they
    are nested, and None or nothing where there is no ReLU. The copy is in
    eval mode and has an Identity where a BN was. Raises UnsupportedError,
    naming the part, where the network is none that the recipe takes or a
    block is none of it, InputError where a weight is not finite.
    """
    graph = allow_list.check(network)
    folded = evaluated(network)
    blocks = module_groups.blocks(network, graph)
    pairs = [(conv, bn) for conv, bn, _ in blocks]
    module_groups.check_fused(network, graph, pairs)
    for conv, bn in pairs:
        layers = folded.get_submodule(conv), folded.get_submodule(bn)
        folded.set_submodule(conv, fold_batch_norm(*layers))
        folded.set_submodule(bn, nn.Identity())
    return folded

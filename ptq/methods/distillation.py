"""Distillation: the float network teaches the quantized one, without labels.

Codes, scales and biases of all layers move together, by gradients that pass
the rounding, toward the float network's predictions (Hinton et al., 2015,
arXiv 1503.02531) and the results of its blocks.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ptq.graph import Node
from ptq.methods import network_blocks as parts
from ptq.quantizer.layer import Layer
from ptq.quantizer.network import QuantizedNetwork

STEPS, BATCH = 200, 64
# Of Adam at the first step, falling to zero: for codes in steps of their
# grid, for logarithms of scales, and for biases. Of five choices the best on
# validation images of ResNet8 at W2A4.
RATES = {"codes": 0.0005, "scale": 0.0002, "bias": 0.0001}


def distillation(
    network: QuantizedNetwork,
    images: Tensor,
    steps: int = STEPS,
    seed: int = 0,
) -> QuantizedNetwork:
    """A copy whose codes, scales and biases the float network has taught.

    It begins with those of ``network``, and layers of one bit keep their
    codes. ``images`` (N, ...) are as the network takes them, and need no
    labels; ``seed`` draws batches. UnsupportedError where images do not fit,
    or a layer's sums no longer.
    """
    made, results = network.copy(), [network.normalized(images)]
    blocks = parts.blocks(made.graph)
    for block in blocks:
        results.append(parts.run_all(block, made.graph.compute, results[-1]))
    free = {name: _begun(made, name) for name in made.integers}
    teach(made, free, blocks, results, steps, seed)
    for name, of in free.items():
        codes = rounded_codes(made.integers[name], of["codes"])
        scale, node = of["scale"].exp(), made.graph.nodes[name]
        parts.write(made, node, codes, scale, of["bias"])
    return made


def _begun(made: QuantizedNetwork, name: str) -> dict[str, Tensor]:
    """What a layer's gradients move, where it is now."""
    layer = made.integers[name]
    found = {
        "codes": layer.codes.float(),
        "scale": layer.grid.scale.log(),
        "bias": layer.bias * made.unit(made.graph.nodes[name]),
    }
    return {key: one.clone().requires_grad_() for key, one in found.items()}


@torch.enable_grad()
def teach(
    made: QuantizedNetwork,
    free: dict[str, dict[str, Tensor]],
    blocks: list[list[Node]],
    results: list[Tensor],
    steps: int,
    seed: int,
) -> None:
    """Move what is ``free``, by layer, toward the float network.

    ``results`` are the images and what its ``blocks`` make of them, (N, ...)
    each; the last are logits (N, classes).
    """
    draw = torch.Generator().manual_seed(seed)
    targets = [(exact, exact.var()) for exact in results[1:]]
    adam = torch.optim.Adam(
        {"params": [of[key] for of in free.values()], "lr": rate}
        for key, rate in RATES.items()
    )
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        some = torch.randint(len(results[0]), (BATCH,), generator=draw)
        filters = {
            name: _filters(made, name, of) for name, of in free.items()
        }
        compute = parts.differentiable(made, filters, parts.straight_through)
        value, errors = results[0][some], []
        for block, (exact, spread) in zip(blocks, targets, strict=True):
            value, wanted = parts.run(block, compute, value), exact[some]
            errors.append((value - wanted).square().mean() / spread)
        predicted, taught = (t.log_softmax(1) for t in (value, wanted))
        loss = functional.kl_div(
            predicted, taught, reduction="batchmean", log_target=True
        )
        adam.zero_grad()
        (loss + sum(errors) / len(errors)).backward()
        adam.step()
        falling.step()


def _filters(made, name: str, of: dict) -> tuple[Tensor, Tensor]:
    codes = rounded_codes(made.integers[name], of["codes"])
    scale = parts.along_outputs(of["scale"].exp(), codes)
    return codes * scale, of["bias"]


def rounded_codes(layer: Layer, codes: Tensor) -> Tensor:
    """Whole codes, float32 (C_out, ...), that gradients pass."""
    if layer.bits == 1:
        return layer.codes.float()
    inside = codes.clamp(layer.grid.qmin, layer.grid.qmax)
    return inside + (inside.round() - inside).detach()

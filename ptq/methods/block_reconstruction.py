"""Block reconstruction: up or down is learned for the layers of a block.

BRECQ (Li et al., 2021, arXiv 2102.05426) with the plain squared error; where
activations are dropped, QDrop (Wei et al., 2022, arXiv 2203.05740). Up or
down is relaxed as in AdaRound (Nagel et al., 2020, equations 21 to 25).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ptq.graph import Node
from ptq.methods import adaround
from ptq.methods import network_blocks as parts
from ptq.quantizer.network import QuantizedNetwork

STEPS, BATCH = 500, 32
# Of Adam: for what becomes up or down, and for biases.
RATES = {"free": 0.02, "bias": 0.001}
# Of a block's first error, where it has none.
SMALLEST = 1e-12


def block_reconstruction(
    network: QuantizedNetwork,
    images: Tensor,
    drop: float = 0.0,
    steps: int = STEPS,
    seed: int = 0,
) -> QuantizedNetwork:
    """A copy where each weight is rounded up or down as its block likes.

    Scales stay as they are. ``images`` (N, ...) are as the network takes
    them; ``drop`` is the share of activations that learning leaves in float;
    ``seed`` draws batches, and these. UnsupportedError where images do not
    fit, or a layer's sums no longer.
    """
    made = network.copy()
    draw = torch.Generator().manual_seed(seed)
    seen = exact = made.normalized(images)
    for block in parts.blocks(made.graph):
        wanted = parts.run_all(block, made.graph.compute, exact)
        reconstruct(made, block, (seen, exact, wanted), drop, steps, draw)
        seen, exact = parts.run_all(block, made.compute, seen), wanted
    return made


@dataclass(frozen=True)
class Relaxed:
    """A layer whose weights lie between two codes of its grid.

    ``down`` are the lower codes and ``free`` what is learned, float32 of the
    weight's shape; ``scale`` broadcasts to it; ``bias`` is (C_out,).
    """

    node: Node
    down: Tensor
    free: Tensor
    scale: Tensor
    bias: Tensor
    ends: tuple[int, int]

    def up(self) -> Tensor:
        """Shares of a step above the lower codes, float32 (C_out, ...)."""
        return adaround.relaxed(self.free)

    def filters(self) -> tuple[Tensor, Tensor]:
        """Weight (C_out, ...) and bias (C_out,), float32, as they are now."""
        return (self.down + self.up()).clamp(
            *self.ends
        ) * self.scale, self.bias

    def codes(self) -> Tensor:
        """The codes that are chosen, float32 (C_out, ...)."""
        return (self.down + (self.free > 0)).clamp(*self.ends)


def relaxed(made: QuantizedNetwork, node: Node) -> Relaxed:
    """A layer that begins at its float weights, between the codes."""
    layer = made.integers[node.name]
    weight, bias = made.graph.filled(node.args[1:3], {})
    bias = torch.zeros(len(weight)) if bias is None else bias.clone()
    scale = parts.along_outputs(layer.grid.scale, weight)
    down = torch.floor(weight / scale)
    share = weight / scale - down
    free = adaround.begun(share).requires_grad_()
    bias = bias.requires_grad_()
    ends = layer.grid.qmin, layer.grid.qmax
    return Relaxed(node, down, free, scale, bias, ends)


@torch.enable_grad()
def reconstruct(made: QuantizedNetwork, block, values, drop, steps, draw):
    """Round a block's layers anew, toward the float network's result.

    ``values`` are what the block reads in both networks, (N, ...) each, and
    that result. Layers of one bit stay.
    """
    (seen, exact, wanted), known = values, made.integers
    free = [n for n in block if n.name in known and known[n.name].bits > 1]
    layers = [relaxed(made, node) for node in free]
    if not layers:
        return
    start = parts.run_all(block, made.compute, seen) - wanted
    unit = start.square().mean().clamp(min=SMALLEST)
    adam = torch.optim.Adam(
        {"params": [getattr(of, name) for of in layers], "lr": rate}
        for name, rate in RATES.items()
    )

    def mixed(rounded: Tensor, x: Tensor) -> Tensor:
        if not drop:
            return rounded
        dropped = torch.rand(x.shape, generator=draw) < drop
        return torch.where(dropped, x, rounded)

    def on_grid(x: Tensor, grid) -> Tensor:
        return mixed(parts.straight_through(x, grid), x)

    for step in range(steps):
        some = torch.randint(len(seen), (BATCH,), generator=draw)
        filters = {of.node.name: of.filters() for of in layers}
        compute = parts.differentiable(made, filters, on_grid)
        result = parts.run(block, compute, mixed(seen[some], exact[some]))
        error = (result - wanted[some]).square().mean() / unit
        price = adaround.penalty((of.up() for of in layers), step / steps)
        adam.zero_grad()
        (error + price).backward()
        adam.step()
    for of in layers:
        scale = known[of.node.name].grid.scale
        parts.write(made, of.node, of.codes(), scale, of.bias)

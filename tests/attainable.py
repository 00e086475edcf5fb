"""The right value of a quantized network, made apart from the package.

A simulation in float64 over torch.fx: each convolution and linear layer has
8-bit weights per channel, each result its own min-max grid. BN and ReLU are
part of the layer before where nobody else reads it.
"""

import copy
import math

import torch
from torch import fx, nn

LAYERS = (
    *(nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d),
    nn.Linear,
)
NORMS = nn.BatchNorm1d | nn.BatchNorm2d
QUIET = {
    *("flatten", "getattr", "getitem", "view", "reshape", "size", "flip"),
    *("max_pool2d", "boolean_dispatch", "dropout", "pad", "transpose"),
}
QUIET_MODULES = (nn.Flatten, nn.Dropout, nn.Identity, nn.MaxPool2d)


def truth(network, images):
    """What the network computes in float64."""
    with torch.no_grad():
        return copy.deepcopy(network).double().eval()(images.double())


def sqnr(want, got):
    """In dB; the signal is what differs from image to image."""
    noise = (want - got.double()).square().mean()
    signal = (want - want.mean(0)).square().mean()
    return math.inf if noise == 0 else float(10 * torch.log10(signal / noise))


def attainable(network, images):
    """SQNR in dB of the simulation, for ``images`` that calibrate it, too."""
    with torch.no_grad():
        got = _Simulation(network).run(images.double())
    return sqnr(truth(network, images), got)


class _Simulation(fx.Interpreter):
    def __init__(self, network):
        traced = fx.symbolic_trace(copy.deepcopy(network).double().eval())
        super().__init__(traced)
        self.modules_by_name = dict(traced.named_modules())

    def run_node(self, node):
        if node.op in ("placeholder", "output", "get_attr"):
            result = super().run_node(node)
            return _on_grid(result) if node.op == "placeholder" else result
        module = self._module(node)
        if isinstance(module, LAYERS):
            (x,), _ = self.fetch_args_kwargs_from_env(node)
            bn = self._only_reader(node, NORMS)
            result = _layer(module, bn)(x)
            quiet = bn is not None
        elif isinstance(module, NORMS) and self._folded(node):
            ((result,), _), quiet = self.fetch_args_kwargs_from_env(node), 0
        else:
            result = super().run_node(node)
            name = getattr(node.target, "__name__", str(node.target))
            quiet = isinstance(module, QUIET_MODULES) or name in QUIET
        if quiet or not torch.is_tensor(result) or self._before_relu(node):
            return result
        return _on_grid(result)

    def _module(self, node):
        named = node.op == "call_module"
        return self.modules_by_name[node.target] if named else None

    def _only_reader(self, node, kinds):
        users = list(node.users)
        found = self._module(users[0]) if len(users) == 1 else None
        return found if isinstance(found, kinds) else None

    def _folded(self, node):
        before = node.args[0]
        return (
            isinstance(self._module(before), LAYERS)
            and len(before.users) == 1
        )

    def _before_relu(self, node):
        users = list(node.users)
        if len(users) != 1:
            return False
        name = getattr(users[0].target, "__name__", str(users[0].target))
        clamps = isinstance(self._module(users[0]), nn.ReLU | nn.ReLU6)
        return clamps or name in ("relu", "relu_", "relu6")


def _layer(module, bn):
    """A copy with the BN folded and each output's weights on a grid."""
    layer = copy.deepcopy(module)
    turned = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    weight, groups = layer.weight.data, getattr(layer, "groups", 1)
    if turned:  # (in, out / groups, ...) to (out, in / groups, ...)
        split = weight.reshape(groups, -1, *weight.shape[1:])
        weight = split.transpose(1, 2).flatten(0, 1)
    if bn is not None:
        one = torch.ones_like(bn.running_var)
        gamma, beta = (bn.weight, bn.bias) if bn.affine else (one, 0 * one)
        gain = gamma / (bn.running_var + bn.eps).sqrt()
        old = 0 if layer.bias is None else layer.bias
        shift = beta + (old - bn.running_mean) * gain
        layer.bias = nn.Parameter(shift.detach())
        weight = weight * gain.reshape(-1, *[1] * (weight.dim() - 1))
    bound = weight.abs().flatten(1).amax(1)
    step = (bound / 127).clamp(min=1e-30)
    step = step.reshape(-1, *[1] * (weight.dim() - 1))
    weight = torch.round(weight / step) * step
    if turned:
        split = weight.reshape(groups, -1, *weight.shape[1:])
        weight = split.transpose(1, 2).flatten(0, 1)
    layer.weight = nn.Parameter(weight.detach())
    return layer


def _on_grid(values):
    low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
    step = ((high - low) / 255).clamp(min=1e-30)
    zero = torch.round(-low / step)
    codes = torch.clamp(torch.round(values / step) + zero, 0, 255)
    return (codes - zero) * step

"""From a float network to a quantized one, by the public call."""

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from ptq import graph as graphs
from ptq.graph import Graph, Node, UnsupportedError, checks
from ptq.graph.operations import operation
from ptq.quantizer import (
    activation_grids,
    affine,
    grid_placement,
    observers,
    weights,
)
from ptq.quantizer.network import (
    Layer,
    QuantizedNetwork,
    all_pixels,
    normalize,
)

BITS = range(1, 17)


def quantize(
    model: nn.Module | Graph,
    images: Tensor,
    *,
    per_channel: bool = True,
    weight_bits: int | Mapping[str, int] = 8,
    activation_bits: int | Mapping[str, int] = 8,
    observer: str = "minmax",
    keep_float: Iterable[str] = (),
    normalization=None,
    on_pixels: bool = False,
    symmetric: bool = False,
) -> QuantizedNetwork:
    """Trace, fold BN, calibrate on ``images``, and quantize.

    ``images`` is float32 (N, C, H, W), normalized; or uint8, where
    ``normalization`` gives (mean, std) of pixels in [0, 1], a number or one
    for each channel. Bits are 1 to 16, one is a weight's sign, and more than
    8 run in the simulation and in exact integers only: a number for all, or
    numbers for some layers (for some results, by the names in ``grids``),
    and 8 for the others; ``inner_bits`` makes both. ``observer`` is one of
    ``observers.OBSERVERS``; ``keep_float`` names layers, operations or whole
    modules. With ``on_pixels`` uint8 images are the first layer's codes
    (``graph.pixels``). ``symmetric`` puts 0 on the middle code of signed
    activations, for speed. ``model``, or a graph with BN folded, stays as it
    is. Raises UnsupportedError, and UnknownNameError for an observer.
    """
    _check_bits(weight_bits=weight_bits, activation_bits=activation_bits)
    _check_choices(observer, per_channel, on_pixels, symmetric)
    real, norm = _real(images, normalization)
    graph = _folded(model, real)
    if on_pixels:
        graph, real, norm = _on_pixels(graph, images, norm)
    kept = _kept(graph, keep_float)
    how = symmetric and not on_pixels, activation_bits, observer, symmetric
    grids = _grids(graph, real, kept, norm, *how)
    network = QuantizedNetwork(graph, {}, grids, kept, norm)
    network.warn_of_range(real)
    network.integers = _layers(network, weight_bits, per_channel)
    return network


def _folded(model: nn.Module | Graph, images: Tensor) -> Graph:
    """A network's graph with BN folded; one that is given stays as it is."""
    given = isinstance(model, Graph)
    graph = model if given else graphs.fold(graphs.trace(model, images))
    QuantizedNetwork(graph, {}, {}).check_shape(images)
    return graph


def _real(images: Tensor, normalization) -> tuple:
    """Images as the network takes them, and the normalization in floats."""
    checks.check_plain(images)
    pixels = images.dtype == torch.uint8
    if images.dtype != torch.float32 and not (
        pixels and normalization is not None
    ):
        raise UnsupportedError(
            f"images are {str(images.dtype).removeprefix('torch.')}: "
            "expected float32, normalized as for the network's training; or "
            "uint8 pixels, and normalization=(mean, std) of pixels in [0, 1]"
        )
    if normalization is None:
        return images, None
    plain = plain_normalization(normalization, images)
    return normalize(images, *plain) if pixels else images, plain


def _on_pixels(graph: Graph, pixels: Tensor, normalization) -> tuple:
    """A graph of pixels as codes, what it takes, and its normalization."""
    if normalization is None or pixels.dtype != torch.uint8:
        raise UnsupportedError(
            "on_pixels: expected uint8 images, and normalization=(mean, std)"
        )
    made, moved = graphs.on_pixels(graph, *normalization)
    plain = plain_normalization(moved, pixels)
    return made, normalize(pixels, *plain), plain


def _grids(graph, images, kept, normalization, wide, bits, *how) -> dict:
    """``wide`` is whether the input's grid may be balanced."""
    owners = dict.fromkeys(grid_placement.grid_owners(graph, kept).values())
    bits = _bits_of("activation_bits", bits, owners)
    grids = activation_grids.activation_grids(graph, images, bits, *how)
    if normalization is not None:
        points = normalize(
            all_pixels(images.shape[1]), *normalization
        ).unique()
        asked = points, bits["input"], wide
        grids["input"] = activation_grids.input_grid(*asked)
    return grids


def _layers(
    network: QuantizedNetwork, bits: int | Mapping[str, int], channel: bool
) -> dict[str, Layer]:
    graph, layers = network.graph, {}
    names = [
        node.name
        for node in graph.nodes.values()
        if grid_placement.kind(node, network.kept) == "layer"
    ]
    for name, many in _bits_of("weight_bits", bits, names).items():
        node = graph.nodes[name]
        weight, bias = graph.filled(node.args[1:3], {})
        _check_magnitude(node, weight)
        grid = network.grid(node.inputs[0])
        made = weights.integer_layer(weight, bias, grid, many, channel)
        layers[name] = weights.checked(node, made, grid)
    return layers


def inner_bits(
    network: QuantizedNetwork, weights: int, activations: int
) -> dict[str, dict[str, int]]:
    """Bits for all layers but the first and the last, which have 8.

    A dict of arguments of ``quantize``: a layer's weights have ``weights``
    bits, and the result that it reads has ``activations``. What no inner
    layer reads (logits, operands of sums) keeps 8. ``network`` is quantized
    in any way; its graph is asked.
    """
    inner = list(network.integers)[1:-1]
    read = [network.graph.nodes[name].inputs[0] for name in inner]
    owners = [network.owners[name] for name in read]
    return {
        "weight_bits": dict.fromkeys(inner, weights),
        "activation_bits": dict.fromkeys(owners, activations),
    }


def _bits_of(what: str, bits, names: Iterable[str]) -> dict[str, int]:
    """Bits of each of the names: one number for all, or some by name."""
    given = bits if isinstance(bits, Mapping) else dict.fromkeys(names, bits)
    for name in given:
        if name not in names:
            raise UnsupportedError(
                f"{what} for {name!r}: the network has none of this name; "
                f"{_near(name, names)}"
            )
    # A numpy integer has not all that an int has.
    numbers = {name: int(many) for name, many in given.items()}
    return dict.fromkeys(names, 8) | numbers


def _near(name, known: Iterable[str]) -> str:
    """The names that may be meant, else some of those that there are."""
    if near := difflib.get_close_matches(str(name), known):
        return f"near are {', '.join(near)}"
    return f"it has {', '.join([*known][:8])}, ..."


def _check_magnitude(node: Node, weight: Tensor) -> None:
    largest = float(weight.abs().max())
    if 0 < largest < 127 * affine.TINY_SCALE:
        raise UnsupportedError(
            f"{node}: its largest weight is {largest:.3g}: a scale of such "
            "would be lost in float32; multiply them, or keep it in float by "
            "keep_float"
        )


def _listed(names) -> list[str]:
    """What ``keep_float`` names: one text, or several."""
    if isinstance(names, str):
        return [names]
    texts = list(names) if isinstance(names, Iterable) else [names]
    if odd := [name for name in texts if not isinstance(name, str)]:
        raise UnsupportedError(
            f"keep_float: {odd[0]!r} is no name: expected names of layers, "
            "operations or modules, as in keep_float=['conv1']; () for none"
        )
    return texts


def _kept(graph: Graph, names: Iterable[str]) -> frozenset[str]:
    """The nodes that ``names`` mean; all that have no rule must be meant."""
    names, kept = _listed(names), set()
    for name in names:
        inside = (f"{name}.", f"{name}@")
        meant = [n for n in graph.nodes if n == name or n.startswith(inside)]
        if not meant:
            raise UnsupportedError(
                f"keep_float={name!r}: the network has no such part after "
                f"folding; {_near(name, graph.nodes)}"
            )
        # The others' arithmetic is the same with codes and in float.
        kinds = {n: operation(graph.nodes[n].op).kind for n in meant}
        rounding = [n for n in meant if kinds[n] not in ("input", "move")]
        if not rounding:
            word = graph.nodes[meant[0]].op
            raise UnsupportedError(
                f"keep_float={name!r}: {word} only moves, picks or clips "
                "values, which codes do exactly: keep the layer that makes "
                "them in float instead"
            )
        kept.update(rounding)
    unknown = [
        f"{node} ({node.op})"
        for node in graph.nodes.values()
        if operation(node.op).kind == "unknown" and node.name not in kept
    ]
    if unknown:
        raise UnsupportedError(
            f"no rule to quantize {', '.join(unknown)}: name them in "
            "keep_float to compute them in float (some have no word in ONNX)"
        )
    return frozenset(kept)


def _check_bits(**given) -> None:
    for name, bits in given.items():
        for many in bits.values() if isinstance(bits, Mapping) else [bits]:
            whole = isinstance(many, Integral) and not isinstance(many, bool)
            if not whole or many not in BITS:
                raise UnsupportedError(
                    f"{name}={many!r}: expected a whole number from "
                    f"{BITS[0]} to {BITS[-1]}"
                )


def _check_choices(observer, *flags) -> None:
    observers.OBSERVERS.row(observer)
    names = "per_channel", "on_pixels", "symmetric"
    for name, value in zip(names, flags, strict=True):
        if not isinstance(value, int | np.bool_) or value not in (0, 1):
            raise UnsupportedError(
                f"{name}={value!r}: expected True or False"
            )


def plain_normalization(normalization, images: Tensor):
    """Mean and std as tuples of floats, which a file can hold.

    ``images`` is (N, C, ...). Raises UnsupportedError where they are not one
    number, or one for each channel, or cannot be used.
    """
    channels = images.shape[1] if images.dim() > 1 else 1
    try:
        mean, std = (
            torch.as_tensor(v, dtype=torch.float32).flatten()
            for v in normalization
        )
        fit = all(len(v) in (1, channels) for v in (mean, std))
    except (TypeError, ValueError, RuntimeError):
        fit = False
    # Above 1, they are those of pixels from 0 to 255.
    if not fit or not ((mean.abs() <= 1) & (std > 0) & (std <= 1)).all():
        raise UnsupportedError(
            f"normalization={normalization}: expected (mean, std) of pixels "
            f"from 0 to 1, a number or one for each of the {channels} "
            "channels, std above 0; of pixels from 0 to 255, divide by 255"
        )
    return tuple(mean.tolist()), tuple(std.tolist())

"""A quantized network as data: codes, grids, and the float graph."""

import copy
import warnings
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ptq.graph import Graph, Node, UnsupportedError, checks
from ptq.graph.operations import operation
from ptq.graph.soundness import sound
from ptq.quantizer import (
    affine,
    function_tables,
    grid_placement,
    layer_table,
    packed_reader,
    packed_writer,
    soundness,
    tensor_files,
)
from ptq.quantizer.affine import Grid
from ptq.quantizer.layer import Layer

# How far beyond the range of the calibration images are taken without a word.
RANGE_SLACK = 0.05
# Images that use less than this share of the input's grid are told of.
SMALLEST_SHARE = 0.02
# Up to here, all whole numbers are floats.
EXACT_FLOAT32 = 2**24


@dataclass
class QuantizedNetwork:
    """Integer layers and activation grids over a float graph.

    ``graph`` has BN folded and is the reference: called, it computes in
    float32. ``integers`` are its layers' by the node's name, ``grids`` those
    of the activations by their owner (``grid_placement.grid_owners``).
    ``kept`` names what stays in float because somebody asked.
    ``normalization`` is (mean, std) of pixels in [0, 1], for one or each
    channel, where images may come as uint8.
    """

    graph: Graph
    integers: dict[str, Layer]
    grids: dict[str, Grid]
    kept: frozenset[str] = frozenset()
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __post_init__(self):
        self.owners = grid_placement.grid_owners(self.graph, self.kept)

    def grid(self, name: str) -> Grid | None:
        """The grid of a node's result; None where it is of real numbers."""
        return self.grids.get(self.owners.get(name))

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, as integers compute them.

        ``images`` is float32 (N, ...), normalized, or uint8 where the
        network knows its normalization. Sums of products are sums of whole
        numbers, and exact (``sums``).
        """
        return self.graph.walk(self.normalized(images), self.compute)

    def compute(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        """A node's result, float32 of its shape, on its grid, if any."""
        if node.name in self.integers:
            return self._requantized(node, self.sums(node, given))
        if (entries := self.table(node)) is not None:
            (name,) = node.inputs
            grids = self.grid(name), self.grid(node.name)
            return function_tables.look_up(given[name], entries, *grids)
        result = self.graph.compute(node, given)
        grid, kind = (
            self.grid(node.name),
            grid_placement.kind(node, self.kept),
        )
        if grid is None or kind == "move" and node.op != "clamp":
            return result
        return affine.fake_quantize(result, grid)

    def sums(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        """A layer's accumulators: whole numbers (N, C, ...).

        Each is the sum of (q_x - Z_x) q_w over the inputs, and the bias. The
        dtype is float32 where that is exact for any images, else float64.
        """
        layer, (name,) = self.integers[node.name], node.inputs
        most = layer.largest_sum(self.grid(name))
        dtype = torch.float32 if most <= EXACT_FLOAT32 else torch.float64
        whole = torch.round(given[name] / self.grid(name).scale).to(dtype)
        codes, bias = layer.codes.to(dtype), layer.bias.to(dtype)
        return operation(node.op).run(whole, codes, bias, *node.args[3:])

    def table(self, node: Node) -> Tensor | None:
        """A function from codes to codes: int32 (codes, C), else None.

        The rows are the input's codes, the columns the channels.
        """
        if node.op not in function_tables.BY_NUMBER or node.name in self.kept:
            return None
        grids = self.grid(node.inputs[0]), self.grid(node.name)
        if None in grids:
            return None
        return function_tables.table(self.graph, node, *grids)

    def unit(self, node: Node, dtype=torch.float32) -> Tensor:
        """What a sum of one stands for: s_x s_w, () or (C_out,) of a dtype.

        Jacob et al. (2018), 2.4.
        """
        scale = self.integers[node.name].grid.scale
        return self.grid(node.inputs[0]).scale.to(dtype) * scale.to(dtype)

    def _requantized(self, node: Node, sums: Tensor) -> Tensor:
        """Sums on the grid of the result: times s_x s_w / s_y, rounded."""
        grid = self.grid(node.name)
        # Of more than a byte, float32 would leave a code too few digits.
        wide = grid.qmax >= 2**grid_placement.BYTE
        dtype = torch.float64 if wide else torch.float32
        multiplier = self.unit(node, dtype) / grid.scale
        if node.op == "convolution":
            around = (1 for _ in node.shape[2:])
            multiplier = multiplier.reshape(-1, *around)
        codes = torch.round(sums.to(dtype) * multiplier) + grid.zero_point
        return affine.dequantize(codes.clamp(grid.qmin, grid.qmax), grid)

    def normalized(self, images: Tensor) -> Tensor:
        """Images (N, ...) as the graph takes them; pixels are normalized.

        Raises UnsupportedError where shape or dtype do not fit.
        """
        self.check_shape(images)
        if images.dtype == torch.uint8 and self.normalization is not None:
            return normalize(images, *self.normalization)
        if images.dtype != torch.float32:
            expected = "float32, normalized"
            if self.normalization is not None:
                expected += ", or uint8 pixels"
            raise UnsupportedError(
                f"images are {str(images.dtype).removeprefix('torch.')}: "
                f"expected {expected}"
            )
        self.warn_of_range(images)
        return images

    def check_shape(self, images: Tensor) -> None:
        """Raise UnsupportedError where images (N, ...) have another shape.

        And where they are no ordinary tensor on the CPU.
        """
        checks.check_plain(images)
        shape = self.graph.nodes["input"].shape[1:]
        if tuple(images.shape[1:]) != shape or not len(images):
            raise UnsupportedError(
                f"images have shape {tuple(images.shape)}: expected "
                f"(N, {', '.join(map(str, shape))}) with N at least 1"
            )

    def warn_of_range(self, images: Tensor) -> None:
        """A word where images (N, ...) have another range than their grid."""
        grid = self.grid("input")
        low, high = affine.ends(grid)
        least, most = (float(v) for v in images.aminmax())
        slack = max(RANGE_SLACK * (high - low), float(grid.scale))
        beyond = least < low - slack or most > high + slack
        one_sided = least >= 0 > low + slack
        # Pixels where shares of them were, and the like; one colour is none.
        tiny = 0 < most - least < SMALLEST_SHARE * (high - low)
        if beyond or one_sided or tiny:
            warnings.warn(
                f"images range from {least:.4g} to {most:.4g}, the input's "
                f"grid from {low:.4g} to {high:.4g}: are they normalized as "
                "those of the calibration?",
                stacklevel=4,
            )

    def layers(self) -> pd.DataFrame:
        """A row for each layer: operation, bits, grid, work and bytes.

        The columns are those of ``layer_table.layers``.
        """
        return layer_table.layers(self)

    def in_float(self) -> dict[str, str]:
        """What is no integer arithmetic, and why, by the node's name."""
        return layer_table.in_float(self)

    def narrow_branches(self) -> dict[str, str]:
        """What loses precision as its concatenation has wider branches."""
        return layer_table.narrow_branches(self)

    def copy(self) -> "QuantizedNetwork":
        """Another one: no change of its tensors reaches this."""
        graph = replace(
            self.graph.copy(), constants=copy.deepcopy(self.graph.constants)
        )
        return replace(
            self,
            graph=graph,
            integers=copy.deepcopy(self.integers),
            grids=copy.deepcopy(self.grids),
        )

    def save(self, path: str | Path, coded: bool = False) -> int:
        """Write one file, weights at their real bits; the number of bytes.

        With ``coded``, weights are entropy coded where that is shorter; what
        is read back is equal. The float weights are not in it. Raises
        UnsupportedError, naming it, for what no file holds, and OSError where
        it cannot be written; an older file then stays.
        """
        shapes = sound(self.graph).nodes
        for node in self.graph.nodes.values():
            if shapes[node.name].shape != node.shape:
                raise UnsupportedError(f"{node}: its shape is another")
        soundness.check(self)
        form = 2 if coded else 1
        return tensor_files.write(
            Path(path), *packed_writer.described(self, coded), form
        )

    def export_onnx(self, path: str | Path) -> int:
        """Write an ONNX file that runtimes read; the number of its bytes.

        Needs the package onnx. Raises UnsupportedError, naming the node,
        where ONNX lacks its operation, and OSError as ``save``.
        """
        # The package's top, as an engine imports this room.
        return import_module("ptq").export_onnx(self, path)

    @staticmethod
    def load(path: str | Path) -> "QuantizedNetwork":
        """The network of a file that ``save`` wrote.

        Its graph's float weights are those that the codes stand for. Raises
        FileError, with the reason, where the file is missing, damaged,
        newer, of another kind, or holds what integers cannot run.
        """
        found = tensor_files.read(Path(path))
        try:
            network = QuantizedNetwork(**packed_reader.parts(*found))
            soundness.check(network)
            packed_reader.add_biases(network)
        except tensor_files.DAMAGES as error:
            raise tensor_files.FileError(
                f"{path} is no network that this version reads: "
                f"{tensor_files.reason(error)}"
            ) from error
        return network

    def __str__(self):
        return layer_table.text(self)


def all_pixels(channels: int) -> Tensor:
    """Each value of a pixel in each channel, uint8 (256, channels)."""
    pixels = torch.arange(256, dtype=torch.uint8)
    return pixels[:, None].expand(-1, channels)


def normalize(pixels: Tensor, mean, std) -> Tensor:
    """float32 (p / 255 - mean) / std of uint8 ``pixels``, (N, C, ...)."""
    around = (-1, *(1 for _ in pixels.shape[2:]))
    mean, std = (torch.tensor(v).reshape(around) for v in (mean, std))
    return (pixels.to(torch.float32) / 255 - mean) / std

"""The ways to run a network that a bench compares, a row each.

Each takes uint8 images and normalizes them itself.
"""

import copy
import dataclasses
import functools
import inspect
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptq import engines
from ptq.deploy.inputs import Inputs
from ptq.engines import float_engines, time_shares
from ptq.engines.file_runner import needs
from ptq.graph import UnsupportedError
from ptq.measure import activation_memory
from ptq.quantizer.network import QuantizedNetwork

FLOAT, BFLOAT, INTEGER = "FP32", "BF16", "INT8"
FLOAT_ONNX = "FP32, ONNX Runtime"
RECOMMENDED = "INT8, recommended"
KINDS = {"float32": FLOAT, "bfloat16": BFLOAT}
# Rows of ``engines.FLOATS`` that ``floats`` has in forms of its own.
IN_FLOATS = {"torch_fp32", "torch_bfloat16", "onnx_runtime_fp32"}
# These check others, and are not meant to be fast.
REFERENCES = {"simulation", "integers"}

Run = Callable[[Tensor], Tensor]
Load = Callable[[int], Run]


@dataclass(frozen=True)
class Competitor:
    """A way to run a network.

    ``load``, called with a number of threads, returns what maps uint8 images
    (N, C, H, W) to logits (N, classes). ``arithmetic`` is "FP32", "BF16" or
    "INT8"; ``bytes`` are those of its file, ``memory`` those of the peak of
    activations for one image, None where that is not known. ``shares`` maps
    uint8 images (N, ...) to those of ``time_shares.shares``, where an engine
    has that.
    """

    load: Load
    arithmetic: str
    bytes: int
    memory: int | None = None
    shares: Callable[[Tensor], dict[str, float]] | None = None


class Loaded(nn.Module):
    """What ``load`` gives, as a module for the timer.

    It is loaded with its first images, for as many threads as torch then
    has; a copy is loaded anew, into other memory.
    """

    keeps_nothing = True

    def __init__(self, load: Load):
        super().__init__()
        self._load, self._run = load, None

    def __deepcopy__(self, memo):
        return Loaded(self._load)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of uint8 images (N, C, H, W)."""
        if self._run is None:
            self._run = self._load(torch.get_num_threads())
        return self._run(images)


def all_of(
    given: Inputs,
    network: QuantizedNetwork,
    tuner,
    only: Collection[str] = (),
) -> tuple[dict[str, Competitor], dict[str, str]]:
    """All that run here, by name, and why others do not.

    ``network`` is what was made of the given one, for floats; ``tuner``, a
    ``fastest_engine.Tuner``, has that whose integers run. The first is the
    float network as it came, the last are other tools' own flows. ``only``,
    if any, names those that are asked for.
    """
    from ptq.bench.peers import PEERS

    makers = floats(given, network) | other_floats(network)
    for name in filter(lambda n: n not in REFERENCES, engines.ENGINES):
        title = f"{INTEGER}, {name.replace('_', ' ')}"
        makers[title] = functools.partial(in_engine, tuner.network, name)
    makers[RECOMMENDED] = lambda: of_codes(tuner.network, tuner.load)
    for name, flow in PEERS.items():
        makers[name] = functools.partial(flow, given)
    return made(
        {n: one for n, one in makers.items() if n in only or not only}
    )


def made(makers: dict[str, Callable]) -> tuple[dict, dict[str, str]]:
    """What each makes, and why others cannot, by their names."""
    found, left_out = {}, {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except ImportError as error:
            left_out[name] = needs(error.name.partition(".")[0])
        except UnsupportedError as error:
            left_out[name] = str(error)
    return found, left_out


def floats(
    given: Inputs, network: QuantizedNetwork
) -> dict[str, Callable[[], Competitor]]:
    """What makes each competitor without integers."""
    last = torch.channels_last
    return {
        FLOAT: lambda: in_torch(given, network),
        "FP32, channels last": lambda: in_torch(given, network, last),
        "BF16, channels last": lambda: in_torch(given, network, last, True),
        FLOAT_ONNX: lambda: float_onnx(network),
    }


def other_floats(
    network: QuantizedNetwork,
) -> dict[str, Callable[[], Competitor]]:
    """What makes a competitor of each row of ``FLOATS`` not in ``floats``."""
    found = {}
    for name, (_, dtype) in engines.FLOATS.items():
        if name not in IN_FLOATS:
            kind, engine = KINDS[dtype], name.rpartition("_")[0]
            found[f"{kind}, {engine.replace('_', ' ')}"] = functools.partial(
                in_float_engine, network, name, kind
            )
    return found


def in_float_engine(
    network: QuantizedNetwork, name: str, kind: str
) -> Competitor:
    """The float graph by a row of ``FLOATS``, in the arithmetic ``kind``.

    Raises UnsupportedError where it is not available, or cannot run it.
    """
    float_engines.load(name, network, 1)
    file = float_onnx(network)
    return Competitor(
        lambda threads: float_engines.load(name, network, threads),
        kind,
        file.bytes,
        file.memory if kind == FLOAT else None,
    )


def in_torch(
    given: Inputs,
    network: QuantizedNetwork,
    layout: torch.memory_format = torch.contiguous_format,
    bfloat: bool = False,
) -> Competitor:
    """The given float network in PyTorch, with BN as it stands.

    ``bfloat`` lets autocast choose what computes in bfloat16.
    """

    def load(threads: int) -> Run:
        module = copy.deepcopy(given.network).to(memory_format=layout)

        def run(images: Tensor) -> Tensor:
            images = network.normalized(images)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat):
                outputs = module(images.contiguous(memory_format=layout))
            return outputs.float()

        return run

    saved = io.BytesIO()
    torch.save(given.network.state_dict(), saved)
    memory = activation_memory.of_float(network.graph).bytes
    kind, memory = (BFLOAT, None) if bfloat else (FLOAT, memory)
    return Competitor(load, kind, saved.tell(), memory)


def float_onnx(network: QuantizedNetwork) -> Competitor:
    """The float graph, BN folded, in ONNX Runtime."""
    from ptq.engines import onnx_file

    content = onnx_file.float_model(network.graph).SerializeToString()
    memory = activation_memory.of_float(network.graph).bytes
    load = normalizing(network, content)
    return Competitor(load, FLOAT, len(content), memory)


def in_engine(network: QuantizedNetwork, name: str) -> Competitor:
    """The quantized network in an engine of the table ``ENGINES``.

    Raises UnsupportedError where it is not available, or cannot run it.
    """
    engine = engines.get(name)
    if (reason := engine.available()) is not True:
        raise UnsupportedError(reason)
    # Pixels go straight into the first layer where the engine has that.
    takes = inspect.signature(engine.load).parameters
    more = {"pixels": True} if "pixels" in takes else {}
    engine.load(network, 1, **more)
    made = of_codes(
        network, lambda threads: engine.load(network, threads, **more)
    )
    if not hasattr(engine, "spent"):
        return made
    shares = functools.partial(
        time_shares.shares, network, engine=name, **more
    )
    return dataclasses.replace(made, shares=shares)


def of_codes(network: QuantizedNetwork, load: Load) -> Competitor:
    """The quantized network by ``load``; bytes are those of its ONNX file.

    Raises UnsupportedError as ``onnx_file.model``.
    """
    from ptq.engines import onnx_file

    content = onnx_file.model(network, pixels=True).SerializeToString()
    memory = activation_memory.of_codes(network).bytes
    return Competitor(load, INTEGER, len(content), memory)


def normalizing(
    network: QuantizedNetwork, content: bytes, **settings
) -> Load:
    """``load`` of an ONNX file for float images; ``settings`` of ``session``.

    They are normalized before it, as ``network`` does.
    """

    def load(threads: int) -> Run:
        run = session(content, threads, **settings)
        return lambda images: run(network.normalized(images))

    return load


def session(
    content: bytes,
    threads: int,
    fused: bool = True,
    entries: dict[str, str] | None = None,
) -> Run:
    """An ONNX file in ONNX Runtime, called with its images (N, ...), if any.

    ``fused``, or as it stands in the file. ``entries`` are settings of the
    session beside the runtime's defaults; None for those that make sums
    exact on this processor.
    """
    from ptq.engines import onnx_runtime

    opened = onnx_runtime.session(
        content, threads, fused=fused, entries=entries
    )

    def run(*images: Tensor) -> Tensor:
        given = {}
        if images:
            given["images"] = images[0].contiguous().numpy()
        return torch.from_numpy(opened.run(None, given)[0])

    return run

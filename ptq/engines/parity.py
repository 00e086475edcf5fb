"""Parity: an engine beside the exact integers, code by code.

Two comparisons. On equal inputs, each node is computed by exact integers
from the codes that the engine gave to it: differences do not add up, and the
first node that differs is where the two part. End to end, both are given the
same images, and their logits are compared.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from ptq import engines
from ptq.engines import integers
from ptq.engines.contract import Run
from ptq.engines.inner_codes import Simulated
from ptq.engines.parity_causes import FUSION, UNKNOWN, causes
from ptq.graph import Node
from ptq.quantizer import affine
from ptq.quantizer.network import QuantizedNetwork

BATCH = 100


@dataclass
class Compared:
    """Codes of one node on equal inputs, or of the logits end to end.

    ``codes`` were compared, ``unequal`` differ, by ``largest`` at most;
    ``causes`` says how many for which reason of ``parity_causes``.
    """

    codes: int = 0
    unequal: int = 0
    largest: int = 0
    causes: Counter = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Share of codes that are equal, 0 to 1."""
        return 1 - self.unequal / max(self.codes, 1)

    def add(self, mine: Tensor, theirs: Tensor, why: Counter) -> None:
        """Count further codes, int32 (...), with their causes."""
        apart = (mine - theirs).abs()
        self.codes += apart.numel()
        self.unequal += int((apart > 0).sum())
        self.largest = max(self.largest, int(apart.max()))
        self.causes += why


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    ``nodes`` is by the node's name, in order of running, and empty where the
    engine tells no codes but those of the logits; ``ends`` compares these.
    Of ``images`` predictions ``flips`` differ. ``disturbed`` codes of logits
    change when the engine is asked for those inside: 0 says that ``nodes``
    tells of what runs in use.
    """

    engine: str
    nodes: dict[str, Compared]
    ends: Compared
    images: int
    flips: int
    disturbed: int = 0

    @property
    def first(self) -> str | None:
        """The first node that differs: there the two part."""
        return next((n for n, c in self.nodes.items() if c.unequal), None)

    @property
    def causes(self) -> Counter:
        """How many codes differ on equal inputs, by their cause."""
        return sum((one.causes for one in self.nodes.values()), Counter())

    @property
    def share(self) -> float:
        """The lowest share of equal codes of any node, 0 to 1."""
        return min((c.share for c in self.nodes.values()), default=1.0)

    @property
    def largest(self) -> int:
        """The largest difference of any node, in codes."""
        return max((c.largest for c in self.nodes.values()), default=0)

    def __str__(self):
        told = [
            f"{self.engine}: {self.flips:,} of {self.images:,} predictions "
            f"differ; {self.ends.share:.2%} of the logits' codes are equal, "
            f"none off by more than {self.ends.largest}"
        ]
        if not self.nodes:
            told.append("it tells no codes inside: no cause can be named")
        elif self.first is None:
            told.append("on equal inputs all codes are equal")
        else:
            why = self.nodes[self.first].causes
            told.append(
                f"on equal inputs at least {self.share:.2%} of a node's "
                f"codes are equal, none off by more than {self.largest}; "
                f"they part at {self.first}: {in_words(why)}"
            )
        return "; ".join(told)


def in_words(why: Counter) -> str:
    """Causes with their counts, the most frequent first; "-" for none."""
    return ", ".join(f"{c} ({n:,})" for c, n in why.most_common()) or "-"


def compare(
    network: QuantizedNetwork,
    images: Tensor,
    engine="onnx_runtime",
    inside: int | None = None,
    exact: Tensor | None = None,
) -> Parity:
    """An engine beside the exact integers on ``images`` (N, ...).

    ``engine`` is a name in ``engines.ENGINES``, or an object as
    ``contract.Engine`` says; ``images`` are as the network takes them. The
    first ``inside`` of them (all, if None) are compared node by node, where
    the engine has ``inside``; ``exact`` are the logits of exact integers,
    (N, classes), where they are known. Raises UnsupportedError where
    integers or the engine do not run the network.
    """
    name = engine if isinstance(engine, str) else engine.__name__
    found = engines.get(engine) if isinstance(engine, str) else engine
    reference, run = integers.load(network), found.load(network, threads=1)
    if exact is None:
        exact = reference(images)
    grid = network.grid(network.graph.output)
    ends, flips = Compared(), 0
    parts = images.split(BATCH), exact.split(BATCH)
    for batch, mine in zip(*parts, strict=True):
        theirs = run(batch)
        flips += int((mine.argmax(1) != theirs.argmax(1)).sum())
        codes = (affine.quantize(logits, grid) for logits in (mine, theirs))
        ends.add(*codes, Counter())
    nodes, disturbed = {}, 0
    if hasattr(found, "inside"):
        few = images[:inside]
        nodes = on_equal_inputs(network, few, found.inside, reference, run)
        disturbed = _disturbed(network, few, found.inside, run)
    return Parity(name, nodes, ends, len(images), flips, disturbed)


def _disturbed(network, images: Tensor, inside: Callable, run) -> int:
    """Codes of the logits that change when those inside are asked for."""
    codes, output, count = inside(network), network.graph.output, 0
    for batch in network.normalized(images).split(BATCH):
        used = affine.quantize(run(batch), network.grid(output))
        count += int((codes(batch).get(output, used) != used).sum())
    return count


def on_equal_inputs(
    network: QuantizedNetwork,
    images: Tensor,
    inside: Callable,
    reference: integers.Integers,
    run: Run,
) -> dict[str, Compared]:
    """Each node's codes, beside exact ones of the same inputs, by name.

    ``images`` is (N, ...); ``inside`` and ``run`` are those of an engine.
    What has no cause of its own is called fusion where it does not happen
    without.
    """
    in_float = {one.node for one in run.ran if one.precision == "float"}

    def count(fused: bool) -> dict[str, Compared]:
        codes, found = inside(network, fused), {}
        for batch in network.normalized(images).split(BATCH):
            made = codes(batch)
            for node, *seen in pairs(network, batch, made, reference):
                why = causes(network, node, *seen, node.name in in_float)
                found.setdefault(node.name, Compared()).add(*seen[1:], why)
        return found

    found = count(fused=True)
    if any(one.causes[UNKNOWN] for one in found.values()):
        apart = count(fused=False)
        for name, one in found.items():
            if one.causes[UNKNOWN] and not apart[name].causes[UNKNOWN]:
                one.causes[FUSION] = one.causes.pop(UNKNOWN)
    return found


def pairs(
    network: QuantizedNetwork,
    images: Tensor,
    codes: dict[str, Tensor],
    reference,
) -> Iterator[tuple[Node, dict[str, Tensor], Tensor, Tensor]]:
    """Each node with what it reads, its exact codes, and the engine's.

    All are minus zero points, int32. ``codes`` are the engine's, by name, of
    ``images``, float32 (N, ...). Of a node that it tells no codes of, the
    exact ones are passed on. ``reference.compute`` makes a node's result.
    """
    values = {}
    for node in network.graph.nodes.values():
        given = {name: values[name] for name in node.inputs}
        if node.op == "input":
            given = {"images": images}
        mine = values[node.name] = reference.compute(node, given)
        if node.name in codes:
            zero = network.grid(node.name).zero_point
            theirs = values[node.name] = codes[node.name].int() - zero
            yield node, given, mine.int(), theirs


def steps_apart(
    network: QuantizedNetwork, images: Tensor, engine: str = "onnx_runtime"
) -> dict[str, int]:
    """Largest difference in codes from the simulation, by the node's name.

    ``images`` is float32 (N, ...), normalized. Each node is simulated from
    what the engine gave to it. Unlike exact integers, the simulation runs
    what is kept in float. Raises UnsupportedError as ``compare``.
    """
    codes = engines.get(engine).inside(network)(images)
    found = pairs(network, images, codes, Simulated(network))
    return {
        node.name: int((mine - theirs).abs().max())
        for node, _, mine, theirs in found
    }

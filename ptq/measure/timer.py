"""Times of networks in comparison, and whether the machine was quiet.

A run of the timer has several sessions. In each, every network is copied to
other memory and every round runs all of them in a new random order. The
spread between sessions estimates how much tomorrow's times will differ.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.graph.plain_copies import evaluated
from ptq.measure import interference

TWIN = "A/A"
HOT, COLD = "hot", "cold"
SESSIONS = 8
PAUSE = 0.5  # seconds between sessions
# A loop over one network is timed as a whole, so that a call of less than a
# millisecond is not lost in the clock and in single interruptions.
LOOP_SECONDS = 0.01
STARVED = 1.5


@dataclass(frozen=True)
class Conditions:
    """How networks are timed.

    ``names`` are the networks; ``batch`` images go through at once, with
    ``threads`` threads. ``mode`` is "hot", a loop over one network, or
    "cold", a single call after those of the others.
    """

    names: tuple[str, ...]
    batch: int
    threads: int
    mode: str = HOT

    @property
    def title(self) -> str:
        """Name of the file that keeps the times."""
        return f"batch{self.batch}-threads{self.threads}-{self.mode}"


@dataclass(frozen=True)
class Samples:
    """``seconds`` of one batch, (sessions, rounds) for each network.

    ``busy`` has one sentence for each sign that the machine was not quiet.
    """

    seconds: dict[str, np.ndarray]
    busy: list[str]


def sessions_of(rounds: int) -> list[int]:
    """How ``rounds`` spread over sessions: at least three rounds in each."""
    count = min(SESSIONS, max(rounds // 3, 1))
    return [len(part) for part in np.array_split(np.arange(rounds), count)]


def compare(
    networks: dict[str, nn.Module],
    images: Tensor,
    plan: list[Conditions],
    rounds: int,
    seed: int,
) -> list[Samples]:
    """Time networks under each of the conditions of ``plan``.

    ``images`` is normalized float32 (N, C, H, W) with at least as many
    images as the largest batch. The first network of each condition runs a
    second time, as another copy called "A/A": the ratio of the two is the
    timer's own error. ``rounds`` are spread over up to eight sessions.
    ValueError where there are fewer images or no rounds.
    """
    _check(images, plan, rounds)
    order = np.random.default_rng(seed)
    taken = [{name: [] for name in (*c.names, TWIN)} for c in plan]
    watches = [interference.Watch() for _ in plan]
    for count in _sessions(rounds):
        gc.collect()
        for conditions, found, watching in zip(
            plan, taken, watches, strict=True
        ):
            copies = {n: evaluated(networks[n]) for n in conditions.names}
            copies[TWIN] = evaluated(networks[conditions.names[0]])
            batch = images[: conditions.batch]
            with watching, pinned_threads(conditions.threads):
                seconds = _session(
                    copies, batch, conditions.mode, count, order
                )
            for name, values in seconds.items():
                found[name].append(values)
    return [
        Samples(_rectangle(found), watching.signs())
        for found, watching in zip(taken, watches, strict=True)
    ]


def starved(
    conditions: Conditions, plan: list[Conditions], found: list[Samples]
) -> list[str]:
    """A sentence if more threads make the first network much slower.

    ``found`` are the samples of ``plan``. The system or another program makes
    threads wait for each other, not the network.
    """
    medians = {
        (c.names[0], c.batch, c.mode, c.threads): np.median(
            s.seconds[c.names[0]]
        )
        for c, s in zip(plan, found, strict=True)
    }
    kind = conditions.names[0], conditions.batch, conditions.mode
    here = medians[*kind, conditions.threads]
    one = medians.get((*kind, 1), here)
    if here <= STARVED * one:
        return []
    return [
        f"{conditions.threads} threads took {here / one:.1f} times as long "
        "as one"
    ]


def parts(
    networks: dict[str, nn.Module],
    images: Tensor,
    rounds: int,
    threads: int,
    seed: int,
    inner: tuple[str, ...] = (),
) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Seconds that the parts of each network take for a batch, and signs.

    For each network and part, (sessions, rounds): as in ``compare``, but
    with an untimed call before each timed one. ``images`` is float32
    (N, C, H, W). The parts of an integer network are those inside its stubs;
    ``inner`` names parts of parts ("conv2.0"), timed in the networks that
    have them. The second value is the ``busy`` of ``Samples``. ValueError
    where no network has an inner part.
    """
    order = np.random.default_rng(seed)
    names = {n: interference.parts(net, inner) for n, net in networks.items()}
    if unknown := set(inner).difference(*names.values()):
        raise ValueError(f"{sorted(unknown)}: no network has such a part")
    taken = {n: {part: [] for part in parts} for n, parts in names.items()}
    watching = interference.Watch()
    for count in _sessions(rounds):
        copies = {n: evaluated(net) for n, net in networks.items()}
        with watching, pinned_threads(threads):
            found = _parts_session(copies, images, count, order, inner)
        for name, spans in found.items():
            for part in taken[name]:
                taken[name][part].append([s[part] for s in spans])
    found = {name: _rectangle(spans) for name, spans in taken.items()}
    return found, watching.signs()


def _sessions(rounds: int) -> Iterator[int]:
    """The rounds of each session, with a pause between sessions."""
    for session, count in enumerate(sessions_of(rounds)):
        if session:
            time.sleep(PAUSE)
        yield count


@torch.inference_mode()
def _parts_session(copies, images, rounds, order, inner) -> dict[str, list]:
    """Seconds of the parts, a dictionary a round for each network."""
    clocks = {
        name: interference.Clock(interference.parts(network, inner))
        for name, network in copies.items()
    }
    spans = {name: [] for name in copies}
    for _ in range(rounds):
        for name in order.permutation(list(copies)):
            copies[name](images)
            with clocks[name]:
                copies[name](images)
            spans[name].append(dict(clocks[name].spans))
    return spans


def _check(images: Tensor, plan: list[Conditions], rounds: int) -> None:
    largest = max(conditions.batch for conditions in plan)
    if len(images) < largest or rounds < 1:
        raise ValueError(
            f"{len(images)} images and {rounds} rounds: expected at least "
            f"{largest} images, as many as the largest batch, and a round"
        )


@torch.inference_mode()
def _session(copies, batch, mode, rounds, order) -> dict[str, list[float]]:
    """Seconds of one call per round and network."""
    loops = {}
    for name, network in copies.items():
        network(batch)
        loops[name] = _calls(_seconds(network, batch))
    seconds = {name: [] for name in copies}
    gc.collect(1)  # what loading left; all of it takes long
    for _ in range(rounds):
        for name in order.permutation(list(copies)):
            network = copies[name]
            if mode == HOT:
                network(batch)
                taken = _seconds(network, batch, loops[name])
            else:
                taken = _seconds(network, batch)
            seconds[name].append(taken)
    return seconds


def _seconds(network: Callable, batch: Tensor, calls: int = 1) -> float:
    """Seconds of one call, over so many calls in a row."""
    started = time.perf_counter()
    for _ in range(calls):
        network(batch)
    return (time.perf_counter() - started) / calls


def loop_seconds(network: Callable, batch: Tensor) -> float:
    """The seconds of one call, in a loop of at least ``LOOP_SECONDS``.

    ``batch`` is (N, ...), as the network takes it.
    """
    once = _seconds(network, batch)
    return _seconds(network, batch, _calls(once))


def _calls(once: float) -> int:
    """So many calls of that many seconds make a loop."""
    return max(round(LOOP_SECONDS / once), 1)


def _rectangle(found: dict[str, list[list[float]]]) -> dict[str, np.ndarray]:
    """(sessions, rounds): a session with one more round drops it."""
    shortest = min(len(v) for values in found.values() for v in values)
    return {
        name: np.array([v[:shortest] for v in values])
        for name, values in found.items()
    }


@contextmanager
def pinned_threads(threads: int):
    """Let torch compute with so many threads for a while.

    Raises InputError, before anything, where there are fewer cores.
    """
    input_checks.check_threads(threads, least=1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

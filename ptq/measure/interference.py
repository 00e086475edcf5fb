"""What a timer watches: other programs, and the parts of a network."""

import time
from collections.abc import Callable

import numpy as np
import psutil
from torch import nn

# Cores that others may use in a quiet session: an idle machine shows 5 % of
# one, a process that computes takes 100 %.
OTHERS_CORES = 0.2


class Watch:
    """Measures, inside a with block, the processor time of other programs."""

    def __init__(self):
        self.wall = self.others = self.stolen = 0.0

    def __enter__(self):
        self._before = self._now()

    def __exit__(self, *error):
        wall, others, stolen = np.subtract(self._now(), self._before)
        self.wall += wall
        self.others += others
        self.stolen += stolen

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: of the clock, of others' computing, and stolen."""
        of_all, own = psutil.cpu_times(), psutil.Process().cpu_times()
        computing = of_all.user + of_all.system + getattr(of_all, "nice", 0)
        others = computing - own.user - own.system
        return time.perf_counter(), others, getattr(of_all, "steal", 0.0)

    def signs(self) -> list[str]:
        """What else kept the machine busy."""
        found = []
        for cores, what in (
            (self.others, "other programs computed on"),
            (self.stolen, "the host took away"),
        ):
            if (share := cores / self.wall) > OTHERS_CORES:
                found.append(f"{what} {share:.1f} cores")
        return found


def parts(
    network: nn.Module, inner: tuple[str, ...] = ()
) -> dict[str, nn.Module]:
    """The children of a network by name, inside the stubs of an integer one.

    ``inner`` names parts of parts, which join where the network has them.
    """
    inside = getattr(network, "module", network)
    modules = dict(inside.named_modules())
    names = [name for name, _ in inside.named_children()]
    names += [name for name in inner if name in modules]
    return {name: modules[name] for name in names}


class Clock:
    """Hooks, inside a with block, that time the parts of one network.

    ``spans`` holds the seconds that each part took when it last ran.
    """

    def __init__(self, parts: dict[str, nn.Module]):
        self.spans = dict.fromkeys(parts, float("nan"))
        self._parts = parts

    def __enter__(self):
        self._hooks = []
        for name, part in self._parts.items():
            start, stop = self._watch(name)
            self._hooks.append(part.register_forward_pre_hook(start))
            self._hooks.append(part.register_forward_hook(stop))

    def __exit__(self, *error):
        for hook in self._hooks:
            hook.remove()

    def _watch(self, name: str) -> tuple[Callable, Callable]:
        def start(module, inputs):
            self.spans[name] = -time.perf_counter()

        def stop(module, inputs, output):
            self.spans[name] += time.perf_counter()

        return start, stop

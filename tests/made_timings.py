"""Timings with chosen times, for tests of what is made of them."""

import numpy as np

from ptq.experiment.results import Timing


def made_timing(seconds, batch=1, busy=(), **more):
    """A quiet hot timing on one thread; ``seconds`` by network, the
    reference first, (sessions, rounds)."""
    facts = {
        "name": "made",
        "key": "",
        "threads": 1,
        "mode": "hot",
        "engine": "x86",
        "machine": {},
        "measured": "2026-11-26 12:00 UTC",
    }
    times = {n: np.asarray(one).tolist() for n, one in seconds.items()}
    return Timing(**facts | more, batch=batch, busy=list(busy), seconds=times)

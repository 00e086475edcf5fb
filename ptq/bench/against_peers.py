"""What a deployment is held to: the fastest flow of others, in the same run.

A recommended row that is slower, beyond the timer's own error, is told so.
"""

from ptq.bench.competitors import RECOMMENDED
from ptq.bench.peers import PEERS
from ptq.bench.report import Table
from ptq.experiment.results import Timing
from ptq.measure import timer

TITLE = "The bar: what ptq recommends beside the fastest flow of others"
HEAD = ("hot", "recommended", "ms", "best peer", "ms", "ratio", "verdict")


def table(timings: list[Timing], choices: dict[str, str]) -> Table | None:
    """A row for each hot timing that has both; None where none has.

    ``choices`` say what is recommended, by the timing's name. The ratio
    is how many times as fast as the peer it is, with the interval of the
    next session.
    """
    rows = []
    for timing in timings:
        peers = PEERS.keys() & timing.seconds.keys()
        hot = timing.mode == timer.HOT
        if hot and peers and RECOMMENDED in timing.seconds:
            peer = min(peers, key=lambda n: timing.milliseconds(n).value)
            ratio = timing.speedup(peer, RECOMMENDED)
            ours, theirs = (
                f"{timing.milliseconds(name).value:.3f}"
                for name in (RECOMMENDED, peer)
            )
            rows.append(
                (
                    timing.conditions.removesuffix(f", {timer.HOT}"),
                    *(choices.get(timing.name, ""), ours),
                    *(peer.partition(", ")[2], theirs),
                    *(f"{timing.judged(ratio):.2f}", timing.word(ratio)),
                )
            )
    return Table(TITLE, HEAD, rows) if rows else None

"""When Ctrl-C reaches this process, and whether it reaches its children."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

NUMBERS = signal.SIGINT, signal.SIGTERM


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of the block.

    Threads that begin in it, and all processes that these begin, have SIGINT
    blocked, for good: Ctrl-C goes to all processes of a terminal, and one
    that is only being started would end in a traceback. In a thread other
    than the main one, which handles no signals, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # Where this starts later, it unblocks the signal.
    resource_tracker.ensure_running()
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in NUMBERS
    }
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)

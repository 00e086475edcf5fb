"""Progress of a command or a sweep, shown while it runs."""

import sys
import time
from datetime import timedelta

# Seconds: between two looks at the cluster, between two lines of a log, and
# without a worker before a message says so.
LOOK, LOG, PATIENCE = 2, 30, 5


class Line:
    """Sentences to stderr, in a with block, on what a command does now.

    On a terminal it is one line that changes. Elsewhere each step is told
    once, and then now and then: a step is what stands before a colon.
    """

    def __init__(self):
        self.live = sys.stderr.isatty()
        self.step, self.next_line = "", 0.0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.live:
            self._write("", end="")

    def tell(self, text: str) -> None:
        """Say it, unless the same step was told a moment ago."""
        now, step = time.monotonic(), text.partition(":")[0]
        if self.live or step != self.step or now >= self.next_line:
            self.step, self.next_line = step, now + LOG
            self._write(text, end="" if self.live else "\n")

    def _write(self, text: str, end: str = "\n") -> None:
        wipe = "\r\033[K" if self.live else ""
        print(wipe + text, end=end, file=sys.stderr, flush=True)


class Progress(Line):
    """Writes to stderr how many of ``total`` tasks of a Dask client ended.

    On a terminal it is one line that changes, elsewhere a line now and then.
    Where no worker is there it says so once, and what to do.
    """

    def __init__(self, client, total: int):
        super().__init__()
        self.client, self.total = client, total
        self.began = self.worker_seen = time.monotonic()
        self.next_look = self.next_line = self.began
        self.idle = 0
        self.told = False

    def show(self, done: int) -> None:
        """Look and write when it is time to; call it often."""
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + LOOK
        try:
            threads, tasks = self.client.nthreads(), self.client.processing()
        except OSError:
            # The scheduler is lost, as the next future will tell.
            return
        if threads:
            self.worker_seen, self.told = now, False
        else:
            self.idle += LOOK
            if now > self.worker_seen + PATIENCE and not self.told:
                self.told = True
                self._write(_no_worker(self.client.scheduler.address))
        if self.live or now >= self.next_line:
            self.next_line = now + LOG
            # Workers hold points in reserve, which count as processing, too.
            running = sum(
                min(threads.get(w, 0), len(tasks[w])) for w in tasks
            )
            self._write(
                f"{done:,} of {self.total:,} points ended, "
                f"{running} running, workers: {len(threads)}; "
                f"{self._times(done, now)}",
                end="" if self.live else "\n",
            )

    def tell(self, text: str) -> None:
        """A sentence of its own line."""
        self._write(text)

    def _times(self, done: int, now: float) -> str:
        seconds, left = now - self.began, "?"
        if done:
            each = max(seconds - self.idle, 0) / done
            left = timedelta(seconds=round(each * (self.total - done)))
        return f"{timedelta(seconds=round(seconds))} so far, {left} left"


def _no_worker(address: str) -> str:
    return (
        f"no worker at {address}, so the sweep waits for one; with this "
        "repository and its environment, on any machine that reaches the "
        f"scheduler: dask worker {address} --nthreads 1"
    )

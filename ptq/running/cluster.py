"""Points on a Dask cluster; a dead worker counts for points it began."""

import asyncio
import collections
import copy
import logging
import multiprocessing
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager

import distributed

from ptq import paths
from ptq.running import interruption, worker

QUIET = logging.NullHandler()
# A point counts as failed after so many workers died while running it.
DEATHS = 4
# So long may a cluster of this machine have no living worker: starting one
# takes a few seconds.
LOST_SECONDS = 30
# A result that was there is asked for so long: its worker may die meanwhile.
RESULT_SECONDS = 30


class ClusterError(RuntimeError):
    """The cluster cannot be reached, or is lost; says what to do."""


@contextmanager
def client(scheduler: str, workers: int) -> Iterator[distributed.Client]:
    """A client of the cluster at ``scheduler``, or of a new one here.

    A new one has ``workers`` processes of one thread each. Raises
    ClusterError if there is no scheduler at the address.
    """
    _silence()
    with ExitStack() as stack:
        cluster = scheduler or stack.enter_context(_local(workers))
        try:
            connected = distributed.Client(cluster)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"--scheduler {scheduler}: {error}; expected the address "
                "that `dask scheduler` prints, as in tcp://10.0.0.1:8786"
            ) from error
        yield stack.enter_context(connected)


def _silence() -> None:
    """Let Dask tell nothing, now and when the program ends.

    A point that fails reports what happened to its workers.
    """
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)
    # Without a handler it would tell of workers that were kept from starting.
    logging.getLogger("asyncio").addHandler(QUIET)


@contextmanager
def _local(workers: int) -> Iterator[distributed.LocalCluster]:
    """Workers on this machine; their temporary files end with them."""
    with paths.scratch_folder() as scratch, ExitStack() as stack:
        # Interrupted in the middle, Dask could not close what it began.
        with interruption.held():
            cluster = stack.enter_context(_without_workers(str(scratch)))
        _start(cluster, workers)
        yield cluster


def _without_workers(scratch: str) -> distributed.LocalCluster:
    """A scheduler, and how its workers are to be, none of them yet."""
    return distributed.LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        local_directory=scratch,
        # Ctrl-C is for the command, which ends its workers itself. Ignored,
        # it need no longer be blocked, as it was for the start.
        preload=[
            "import signal\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})"
        ],
        # Progress bars of trainings would overwrite the sweep's line.
        env={"TQDM_DISABLE": "1", "TMPDIR": scratch},
    )


def _start(cluster: distributed.LocalCluster, workers: int) -> None:
    """Start so many workers, and wait for them."""
    others = multiprocessing.active_children()
    cluster.scale(workers)
    # Not Dask's sync, which breaks the start off when it is interrupted.
    starting = asyncio.run_coroutine_threadsafe(
        _started(cluster), cluster.loop.asyncio_loop
    )
    try:
        starting.result()
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()
        # Dask can close no worker that it still takes for starting.
        futures.wait([starting])
        raise


async def _started(cluster: distributed.LocalCluster) -> None:
    """Wait for the workers; raises what kept one from starting."""
    await cluster


class Batch:
    """Points submitted to a cluster, and collected as they end.

    ``work(values, chapter)`` makes the files of one point, on a worker.
    ``tell`` gets the workers' messages to the user.

    Dask counts a worker's death for all tasks of that worker, waiting ones
    too. Here it counts only for points that had begun: each reports its
    beginning.
    """

    def __init__(
        self,
        client: distributed.Client,
        work: Callable[[dict, worker.Chapter], dict[str, bytes]],
        chapter: worker.Chapter,
        todo: dict[str, dict],
        tell: Callable[[str], None],
    ):
        self.client, self.work = client, work
        self.todo, self.tell = todo, tell
        # A task, not scattered data: it survives the death of its worker.
        self.chapter = client.submit(copy.copy, chapter, pure=False)
        self.group = f"point-{uuid.uuid4().hex}"
        self.events = collections.deque()
        for topic in (self.group, "all"):
            client.subscribe_topic(topic, self.events.append)
        self.begun = collections.defaultdict(set)
        self.deaths = collections.Counter()
        self.attempts = collections.Counter()
        self.futures = {}
        self.alive = time.monotonic()
        self.arriving = distributed.as_completed()
        self._submit([*todo])

    def ended(self) -> Iterator[tuple[str, dict[str, bytes]] | None]:
        """Identity and files of each point that ends, None in between.

        Raises ClusterError if the scheduler is lost.
        """
        while self.futures:
            found = self._killers()
            # Not the blocking iterator: its timeout ends the whole of it.
            for future in self.arriving.next_batch(block=False):
                digest = future.key[1]
                files = self._files(digest, future)
                if files is not None:
                    del self.futures[digest]
                    found[digest] = files
            yield from found.items()
            if not found:
                self._replace_lost()
                yield None
                time.sleep(0.1)

    def close(self) -> None:
        """Stop listening."""
        for topic in (self.group, "all"):
            self.client.unsubscribe_topic(topic)

    def _replace_lost(self) -> None:
        """Start another worker where Dask starts none any more.

        It gives up a worker that dies while it is starting.
        """
        here = self.client.cluster
        now = time.monotonic()
        if here is None or any(w.is_alive() for w in here.workers.values()):
            self.alive = now
        elif now - self.alive > LOST_SECONDS:
            here.scale(len(here.worker_spec) + 1)
            self.alive = now

    def _submit(self, digests: list[str]) -> None:
        self.attempts.update(digests)
        submitted = self.client.map(
            _begin,
            [self.todo[digest] for digest in digests],
            chapter=self.chapter,
            work=self.work,
            # One group of tasks, so that the scheduler keeps the queue.
            key=[(self.group, d, self.attempts[d]) for d in digests],
            retries=0,
            pure=False,
        )
        self.futures |= dict(zip(digests, submitted, strict=True))
        self.arriving.update(submitted)

    def _files(self, digest: str, future) -> dict[str, bytes] | None:
        """Files of a point; None if it runs again, or has been given up."""
        known = self.futures.get(digest)
        if known is None or known.key != future.key:
            return None
        if future.status in ("lost", "pending"):
            # Its worker died, and another one runs it again.
            self.arriving.add(future)
            return None
        try:
            return future.result(timeout=RESULT_SECONDS)
        except TimeoutError:
            self.arriving.add(future)
            return None
        except distributed.KilledWorker:
            # Others' deaths may be among those that Dask has counted.
            self._submit([digest])
            return None
        except (CancelledError, OSError) as error:
            raise ClusterError(
                "the scheduler is lost; what arrived is kept, and the same "
                "command continues from there"
            ) from error
        except Exception as error:
            return self._failed(digest, error)

    def _killers(self) -> dict[str, dict[str, bytes]]:
        """Files of the points that are given up, by the workers' reports."""
        given_up = {}
        while self.events:
            _, told = self.events.popleft()
            if "said" in told:
                self.tell(told["said"])
            elif "began" in told:
                self._mark(told)
            elif told.get("action") == "remove-worker":
                for digest in self._suspects(told):
                    self.deaths[digest] += 1
                    if self.deaths[digest] == DEATHS:
                        self.futures.pop(digest).cancel(force=True)
                        given_up[digest] = self._failed(
                            digest, worker.WorkerDied(DEATHS)
                        )
        return given_up

    def _mark(self, told: dict) -> None:
        """Note that a worker began a point."""
        begun = self.begun[told["worker"]]
        if told["threads"] == 1:
            # The point before has ended, even if its result has not arrived
            # yet.
            begun.clear()
        begun.add(tuple(told["began"]))

    def _suspects(self, told: dict) -> set[str]:
        """Points that may have killed the worker that died."""
        had = {tuple(key) for key in told["processing-tasks"]}
        # A worker that never began a point may die of the code itself.
        begun = self.begun.pop(told["worker"], had)
        if told["expected"]:
            return set()
        # A point that has ended stays good, whatever messages come later.
        return {
            key[1]
            for key in had & begun
            if key[0] == self.group and key[1] in self.futures
        }

    def _failed(self, digest: str, error: Exception) -> dict[str, bytes]:
        return {worker.FAILURE: worker.failure(self.todo[digest], error)}


def _begin(values: dict, chapter: worker.Chapter, work: Callable):
    worker.mark()
    return work(values, chapter)

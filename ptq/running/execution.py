"""One notebook, executed in a kernel that leaves nothing behind."""

import errno
import hashlib
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
from jupyter_client import KernelManager
from nbclient.exceptions import DeadKernelError

from ptq import paths
from ptq.running import quoted_numbers

QUIET = logging.NullHandler()
# Bytes of a socket's path that every system takes; Linux takes 107.
SOCKET_PATH = 100
WIDGETS = "application/vnd.jupyter.widget-state+json"


class _Kernel(KernelManager):
    """A kernel that starts once.

    If it ends before papermill looks for it, nbclient would start another
    one.
    """

    started = False

    def start_kernel(self, **given):
        if self.started:
            raise DeadKernelError("the kernel has ended")
        self.started = True
        return super().start_kernel(**given)


class ChapterFailed(RuntimeError):
    """A chapter stopped; names the cell and the executed copy."""


def execute(
    source: Path,
    values: dict,
    target: Path,
    timeout: int | None = None,
    quiet: bool = False,
) -> None:
    """Execute one chapter; only a complete copy is written to ``target``.

    ``timeout`` limits the seconds of each cell; ``quiet`` keeps progress and
    the chapter's stderr off the terminal. Raises ChapterFailed; what was
    executed then lies beside the target as ``NAME.failed.ipynb``. Raises
    OSError where the copy, or in a cell a file, does not fit on the disk.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_suffix(".failed.ipynb")
    temporary = target.with_suffix(".running.ipynb")
    try:
        notebook = _papermill(source, values, temporary, timeout, quiet)
        _check_whole(notebook)
        quoted_numbers.fill_in(notebook)
        _lift(notebook)
    except Exception as error:
        _raise_if_full(error, target)
        if temporary.exists():
            temporary.replace(failed)
        told = str(error)
        if isinstance(error, DeadKernelError):
            told = "its kernel died, most often of too little memory"
        raise ChapterFailed(
            f"{source.name} failed:\n{told}\nexecuted so far: {failed}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    _scrub(notebook, source)
    paths.write_whole(target, _with_steady_ids(notebook, source) + "\n")
    failed.unlink(missing_ok=True)


def _raise_if_full(error: Exception, target: Path) -> None:
    """Raise OSError with a file's name if a disk is full, here or there."""
    full = (errno.ENOSPC, errno.EDQUOT)
    number, file = getattr(error, "errno", None), str(target)
    in_kernel = re.match(
        r"\[Errno (\d+)\][^']*(?:'(.+)')?", getattr(error, "evalue", "")
    )
    if in_kernel:
        number, file = int(in_kernel[1]), in_kernel[2] or file
    if number in full:
        raise OSError(number, os.strerror(number), file) from error


def _papermill(
    source: Path, values: dict, target: Path, timeout: int | None, quiet: bool
):
    # Papermill logs a kernel's end, and raises it, too.
    logging.getLogger("papermill").addHandler(QUIET)
    # In a thread of its own: in the main one nbclient catches Ctrl-C.
    with ThreadPoolExecutor(1) as thread, _kernel() as kernel:
        executed = thread.submit(
            papermill.execute_notebook,
            str(source),
            str(target),
            parameters=values,
            kernel_name="python3",
            language="python",
            progress_bar=not quiet and sys.stderr.isatty(),
            stderr_file=None if quiet else sys.stderr,
            execution_timeout=timeout,
            # On a busy machine a large figure may arrive late.
            iopub_timeout=60,
            km=kernel,
        )
        return executed.result()


@contextmanager
def _kernel() -> Iterator[KernelManager]:
    """A kernel for one notebook; it is stopped, and its files are removed."""
    # No ports, and sockets in a folder of their own (jupyter's default is
    # the working one): kernels that start at once cannot race for either.
    # In a temporary folder with a very long name there are ports after all.
    with paths.scratch_folder() as folder:
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
        if len(os.fsencode(f"{folder}/kernel-1")) > SOCKET_PATH:
            sockets = {}
        kernel = _Kernel(
            kernel_name="python3",
            **sockets,
            connection_file=f"{folder}/kernel.json",
            # As in nbclient: another client would wait for ever.
            client_class="jupyter_client.asynchronous.AsyncKernelClient",
        )
        kernel.start_kernel(
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
            # Its messages about its own end would reach the user's terminal.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        gently = False
        try:
            yield kernel
            gently = True
        except Exception:
            gently = True
            raise
        finally:
            kernel.shutdown_kernel(now=not gently)


def _check_whole(notebook) -> None:
    # A dead kernel or sys.exit leaves cells that papermill calls completed.
    for cell in notebook.cells:
        is_code = cell.cell_type == "code" and cell.source.strip()
        if is_code and not cell.execution_count:
            raise RuntimeError(f"cell {cell.id} did not run to its end")


def _lift(notebook) -> None:
    """Move captions and alt texts of code to where the book reads them.

    RuntimeError where a cell displays more than one figure alone: the book
    has one caption a cell, and gives it to all that the cell displays.
    """
    for cell in notebook.cells:
        if not (outputs := cell.get("outputs", [])):
            continue
        cell.outputs = [o for o in outputs if not _for_lab_only(o)]
        shown = [o for o in cell.outputs if "data" in o]
        facts = [o.get("metadata", {}).get("ptq") for o in shown]
        if not (figures := list(filter(None, facts))):
            continue
        if len(shown) > 1:
            raise RuntimeError(
                f"cell {cell.id} displays {figures[0]['name']} and more; "
                "expected nothing else beside a figure: use another cell"
            )
        caption = {name: figures[0][name] for name in ("caption", "name")}
        cell.metadata["mystnb"] = cell.metadata.get("mystnb", {}) | {
            "figure": caption,
            "image": {"alt": figures[0]["alt"]},
        }


def _for_lab_only(output) -> bool:
    """A caption shown as text, or a progress bar."""
    is_bar = output.get("name") == "stderr" and "\r" in output.get("text", "")
    return output.get("metadata", {}).get("ptq") == "caption" or is_bar


def _scrub(notebook, source: Path) -> None:
    """Drop times and paths, which differ in every run and have no meaning."""
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    notebook.metadata["papermill"] = {
        "input_path": f"notebooks/{source.name}",
        "parameters": notebook.metadata.papermill.parameters,
        "version": notebook.metadata.papermill.version,
    }


def _with_steady_ids(notebook, source: Path) -> str:
    """The notebook as text, its widgets numbered: ids are drawn at random."""
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {})
    text = nbformat.writes(notebook)
    for i, drawn in enumerate(widgets.get("state", {})):
        steady = hashlib.sha256(f"{source.stem}-{i}".encode()).hexdigest()
        text = text.replace(drawn, steady[:32])
    # Written twice, since the ids decide the order of the widgets.
    return nbformat.writes(nbformat.reads(text, as_version=4))

"""``python -m ptq``."""

import os
import signal
import threading


def _interrupted(number, frame):
    """End at once: while modules are imported, nothing has begun."""
    # A terminal has written ^C on this line.
    os.write(2, b"\ninterrupted; nothing was begun\n")
    os._exit(130)


def _run():
    """The commands, whose imports take a moment."""
    before = signal.getsignal(signal.SIGINT)
    # Of a command in the background, a shell has the signal ignored.
    alone = threading.current_thread() is threading.main_thread()
    if alone and before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    from ptq.cli import error_messages
    from ptq.cli.commands import main

    if alone:
        signal.signal(signal.SIGINT, before)
    error_messages.told.alone = True
    main()


_run()

"""``python -m ptq``."""

from ptq.cli import error_messages
from ptq.cli.commands import main

error_messages.told.alone = True
main()

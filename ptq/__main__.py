"""``python -m ptq``."""

from ptq.cli.command_line import main

main()

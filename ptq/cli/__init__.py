"""The commands of ``python -m ptq``."""

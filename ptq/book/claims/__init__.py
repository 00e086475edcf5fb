"""The paper's claims and numbers, the rules that judge them, and verdicts."""

from ptq.book.claims import judged, paper, rules

__all__ = ["judged", "paper", "rules"]

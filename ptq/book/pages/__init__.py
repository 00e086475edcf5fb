"""What stands around the chapters: front page, pages on the run, scripts."""

from ptq.book.pages import (
    decision_map,
    kept_runs,
    network_answers,
    strategy_answer,
)

__all__ = [
    "decision_map",
    "kept_runs",
    "network_answers",
    "strategy_answer",
]

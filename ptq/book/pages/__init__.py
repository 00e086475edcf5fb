"""What stands around the chapters: front page, pages on the run, scripts."""

from ptq.book.pages import network_answers

__all__ = ["network_answers"]

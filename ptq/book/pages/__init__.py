"""What stands around the chapters: front page, pages on the run, scripts."""

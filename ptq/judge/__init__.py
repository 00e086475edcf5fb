"""The result of any tool, judged from its files."""

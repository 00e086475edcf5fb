"""A network's times in every runtime of this machine: which, and why."""

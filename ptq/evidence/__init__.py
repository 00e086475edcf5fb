"""Statistics: arrays in, intervals and verdicts out."""

"""The shipped networks, their training and checkpoints."""

"""A reader's network, from its checkpoint to a deploy card."""

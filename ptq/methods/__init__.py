"""One file a method: a network in, a better one out."""

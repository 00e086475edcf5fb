"""What a network cannot be, in one sentence."""


class UnsupportedError(ValueError):
    """A network that cannot be quantized; names the place and the reason."""

"""Codes packed tightly: at b bits, eight codes take b bytes."""

import numpy as np


def pack(codes: np.ndarray, low: int, bits: int) -> np.ndarray:
    """Whole numbers as bytes, uint8 (n,), the first code's bits lowest.

    ``codes`` has any integer dtype and any shape, its numbers in C order,
    each from ``low`` to ``low`` + 2^bits - 1; ``bits`` is 1 to 8. What is
    left of the last byte is zero. Raises ValueError where a code is beyond.
    """
    above = codes.astype(np.int64).ravel() - low
    if above.size and not 0 <= above.min() <= above.max() < 2**bits:
        raise ValueError(
            f"codes from {codes.min()} to {codes.max()} do not fit into "
            f"{bits} bits from {low} on"
        )
    column = above.astype(np.uint8)[:, None]
    each = np.unpackbits(column, axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little")


def unpack(
    packed: np.ndarray, shape: tuple[int, ...], low: int, bits: int
) -> np.ndarray:
    """The codes, int16 of this shape, of which ``pack`` made ``packed``.

    ``packed`` is uint8 (n,). Raises ValueError where there are more or fewer
    bytes than these codes take, or the last byte holds more than they do.
    """
    count = 1
    for size in shape:
        count *= size  # a Python integer: no claim is too large for it
    if packed.ndim != 1 or len(packed) != -(-count * bits // 8):
        raise ValueError(
            f"{packed.size} bytes: expected {-(-count * bits // 8)} for "
            f"{count} codes of {bits} bits"
        )
    each = np.unpackbits(packed, bitorder="little")
    if each[count * bits :].any():
        raise ValueError("bits behind the last code: expected zeros")
    each = each[: count * bits].reshape(-1, bits)
    above = np.packbits(each, axis=1, bitorder="little")
    return above.astype(np.int16).reshape(shape) + low

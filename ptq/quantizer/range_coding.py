"""Entropy coding: frequent codes take few bits, by a range coder in integers.

Asymmetric numeral systems (Duda, 2013, arXiv 1311.2540), the range variant,
with one static table. Whole numbers only, so that every machine writes the
same bytes. Several states take turns, so that numpy works on many codes at
once (Giesen, 2014, arXiv 1402.3392).
"""

import numpy as np

# A code's share of the table's 2^14 is its probability.
PRECISION = 14
TOTAL = 2**PRECISION
# States lie in 2^16 to 2^32 - 1, and move 16 bits at a time.
WORD = 16
LEAST = 2**WORD
# So many codes a state, which takes four bytes.
CODES_A_STATE = 2**13
# A file may not promise more codes than this for each of its bytes.
MOST_A_BYTE = 64


def shares(codes: np.ndarray, bits: int) -> np.ndarray:
    """The table: uint16 (2^bits,), which adds up to ``TOTAL``.

    ``codes`` are uint8 of any shape, at least one of them. A code that is
    used has at least 1; rounding's rest goes to the most frequent one.
    """
    counts = np.bincount(codes.ravel(), minlength=2**bits)
    used = counts > 0
    room = TOTAL - int(used.sum())
    found = used + counts * room // codes.size
    found[counts.argmax()] += TOTAL - found.sum()
    return found.astype(np.uint16)


def encode(codes: np.ndarray, bits: int) -> np.ndarray:
    """Bytes, uint8 (n,), of ``codes``, uint8 of any shape, below 2^bits.

    The table, the states, and the words that they gave off, all little
    endian.
    """
    table = shares(codes, bits)
    rows = _in_rows(codes.ravel())
    share = table.astype(np.int64)
    start = share.cumsum() - share
    states = np.full(rows.shape[1], LEAST, np.int64)
    words = []
    for row in rows[::-1]:
        here = row >= 0
        of, low, state = share[row], start[row], states
        full = here & (state >= of << 2 * WORD - PRECISION)
        words.append(state[full][::-1] & LEAST - 1)
        state = np.where(full, state >> WORD, state)
        over, rest = np.divmod(state, np.maximum(of, 1))
        states = np.where(here, (over << PRECISION) + rest + low, state)
    words = np.concatenate(words)[::-1].astype("<u2")
    parts = table.astype("<u2"), states.astype("<u4"), words
    return np.concatenate([part.view(np.uint8) for part in parts])


def decode(coded: np.ndarray, count: int, bits: int) -> np.ndarray:
    """The codes, uint8 (count,), of which ``encode`` made ``coded``.

    Raises ValueError where it made these bytes of no such codes, or where
    ``count`` is more than ``MOST_A_BYTE`` for each byte.
    """
    lanes = -(-count // CODES_A_STATE)
    head = 2 * 2**bits + 4 * lanes
    if coded.ndim != 1 or not 0 < count <= MOST_A_BYTE * len(coded):
        raise ValueError(f"{coded.size} bytes for {count} coded weights")
    if len(coded) < head or len(coded) % 2:
        raise ValueError(f"{len(coded)} coded bytes: some are missing")
    content = coded.tobytes()
    share = np.frombuffer(content, "<u2", 2**bits).astype(np.int64)
    if share.sum() != TOTAL:
        raise ValueError(f"a table of {share.sum()} shares, not {TOTAL}")
    states = np.frombuffer(content, "<u4", lanes, 2 * 2**bits)
    words = np.frombuffer(content, "<u2", offset=head).astype(np.int64)
    codes, states, left = _decoded(
        share, states.astype(np.int64), words, count
    )
    again = left == 0 and (states == LEAST).all()
    if not again or not np.array_equal(encode(codes, bits), coded):
        raise ValueError("coded weights that no weights give")
    return codes


def _decoded(share, states, words, count):
    """Codes, the states behind them, and how many words are left."""
    start = share.cumsum() - share
    code_of = np.repeat(np.arange(len(share)), share)
    rows = _in_rows(np.zeros(count, np.uint8))
    place = 0
    for row in rows:
        here = row >= 0
        slot = states & TOTAL - 1
        code = code_of[slot]
        moved = share[code] * (states >> PRECISION) + slot - start[code]
        states = np.where(here, moved, states)
        low = here & (states < LEAST)
        new = words[place : place + low.sum()]
        if len(new) < low.sum():
            raise ValueError("coded weights are cut off")
        states[low] = states[low] << WORD | new
        place += len(new)
        row[:] = code
    return rows.ravel()[:count].astype(np.uint8), states, len(words) - place


def _in_rows(codes: np.ndarray) -> np.ndarray:
    """Codes as rows, int16 (n, states); -1 behind the last."""
    lanes = -(-len(codes) // CODES_A_STATE)
    rows = np.full((-(-len(codes) // lanes), lanes), -1, np.int16)
    rows.ravel()[: len(codes)] = codes
    return rows

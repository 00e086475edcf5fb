"""The entropy coder: there and back, near the entropy, nothing hostile."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptq.quantizer import range_coding
from ptq.quantizer.range_coding import CODES_A_STATE, MOST_A_BYTE, TOTAL


def drawn(count, bits, seed, spread=0.5):
    """Codes of which some are much more frequent than others."""
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.full(2**bits, spread))
    return generator.choice(2**bits, count, p=weights).astype(np.uint8)


def entropy_bytes(codes):
    _, counts = np.unique(codes, return_counts=True)
    return -(counts * np.log2(counts / codes.size)).sum() / 8


def by_hand(codes, bits):
    """One state as a whole number without end, and no words: plain rANS."""
    share = range_coding.shares(codes, bits).astype(int).tolist()
    start = np.cumsum([0, *share]).tolist()
    state = 2**16
    for code in codes.tolist()[::-1]:
        over, rest = divmod(state, share[code])
        state = over * TOTAL + rest + start[code]
    found = []
    for _ in codes:
        slot = state % TOTAL
        code = int(np.searchsorted(start, slot, "right")) - 1
        state = share[code] * (state // TOTAL) + slot - start[code]
        found.append(code)
    assert state == 2**16
    return found


@settings(deadline=None, database=None, derandomize=True, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 8), st.integers(0, 10**6))
def test_there_and_back(count, bits, seed):
    codes = drawn(count, bits, seed)
    coded = range_coding.encode(codes, bits)
    assert by_hand(codes, bits) == codes.tolist()
    if count <= MOST_A_BYTE * len(coded):
        again = range_coding.decode(coded, count, bits)
        assert again.dtype == np.uint8 and np.array_equal(again, codes)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_where_another_state_begins(extra):
    codes = drawn(2 * CODES_A_STATE + extra, 2, 1)
    coded = range_coding.encode(codes, 2)
    assert np.array_equal(range_coding.decode(coded, codes.size, 2), codes)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_length_is_that_of_the_entropy(bits):
    codes = drawn(60_000, bits, bits)
    states = -(-codes.size // CODES_A_STATE)
    room = 2 * 2**bits + 6 * states + 0.002 * codes.size / 8
    length = len(range_coding.encode(codes, bits))
    assert entropy_bytes(codes) < length < entropy_bytes(codes) + room


def test_the_table_has_a_place_for_each_code_that_is_used():
    codes = np.arange(256).astype(np.uint8)
    many = np.concatenate([codes, np.zeros(10**6, np.uint8)])
    for given_codes in (codes, many, many[256:]):
        table = range_coding.shares(given_codes, 8)
        assert table.sum() == TOTAL
        assert (table[np.unique(given_codes)] > 0).all()


def test_known_bytes():
    """What a file of today holds, each machine and version reads."""
    codes = np.array([1, 0, 1, 1, 3, 1], np.uint8)
    coded = range_coding.encode(codes, 2)
    assert coded.tobytes().hex() == "ab0aaa2a0000ab0a4c2cbb00"


@pytest.mark.parametrize("seed", range(4))
def test_damage_gives_other_codes_or_is_refused(seed):
    codes = drawn(300, 3, seed)
    coded = range_coding.encode(codes, 3)
    generator = np.random.default_rng(seed)
    for _ in range(60):
        changed = coded.copy()
        changed[generator.integers(len(coded))] ^= generator.integers(1, 256)
        cut = changed[: generator.integers(len(coded))]
        for given_bytes in (changed, cut, np.append(changed, cut[:2])):
            with pytest.raises(ValueError, match=r"coded|shares"):
                range_coding.decode(given_bytes, codes.size, 3)


def test_a_promise_of_many_codes_takes_no_memory():
    coded = range_coding.encode(np.zeros(50, np.uint8), 1)
    for count in (0, MOST_A_BYTE * len(coded) + 1, 2**40, 10**30):
        tracemalloc.start()
        with pytest.raises(ValueError, match="coded weights"):
            range_coding.decode(coded, count, 1)
        assert tracemalloc.get_traced_memory()[1] < 10**5
        tracemalloc.stop()

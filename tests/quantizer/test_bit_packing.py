"""Packed codes: any width, any shape, there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ptq.quantizer import bit_packing


@st.composite
def codes(draw):
    """Codes of a width, the lowest of which is any that int8 holds."""
    bits = draw(st.integers(1, 8))
    low = draw(st.integers(-128, 128 - 2**bits))
    shape = draw(array_shapes(max_dims=4, max_side=7, min_side=0))
    numbers = st.integers(low, low + 2**bits - 1)
    return draw(arrays(np.int8, shape, elements=numbers)), low, bits


def by_hand(array, low, bits):
    """The bytes of one large whole number that has all codes in a row."""
    number = 0
    for place, code in enumerate(array.ravel().tolist()):
        number += (code - low) << place * bits
    return number.to_bytes(-(-array.size * bits // 8), "little")


@settings(deadline=None, database=None, derandomize=True)
@given(codes())
def test_there_and_back(given):
    array, low, bits = given
    packed = bit_packing.pack(array, low, bits)
    assert packed.tobytes() == by_hand(array, low, bits)
    again = bit_packing.unpack(packed, array.shape, low, bits)
    assert again.shape == array.shape and np.array_equal(again, array)


def test_what_does_not_fit_is_refused():
    array = np.array([0, 1, 2, 3])
    with pytest.raises(ValueError, match="0 to 3 do not fit into 1 bits"):
        bit_packing.pack(array, 0, 1)
    with pytest.raises(ValueError, match="from 1 on"):
        bit_packing.pack(array, 1, 8)
    packed = bit_packing.pack(array[:3], 0, 2)
    for shape in ((2,), (5,), (3, 10**30), (2**64,)):
        if shape != (2,):
            with pytest.raises(ValueError, match="expected"):
                bit_packing.unpack(packed, shape, 0, 2)
    with pytest.raises(ValueError, match="behind the last code"):
        bit_packing.unpack(packed | 64, (3,), 0, 2)

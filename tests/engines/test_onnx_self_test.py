"""The runtime's sums are tried; kernels that saturate are found out."""

import numpy as np
import pytest

from ptq.engines import onnx_self_test


def saturating(x, w, groups, scale):
    """A convolution that adds products by pairs in 16 bits."""
    windows = np.lib.stride_tricks.sliding_window_view(
        x[0].astype(int), w.shape[2:], (1, 2)
    )
    inputs, outputs = w.shape[1], w.shape[0] // groups
    result = []
    for out, kernel in enumerate(w.astype(int)):
        first = out // outputs * inputs
        mine = windows[first : first + inputs]
        products = mine * kernel[:, None, None]
        products = np.moveaxis(products, 0, -3).reshape(*mine.shape[1:3], -1)
        if products.shape[-1] % 2:
            products = np.pad(products, ((0, 0), (0, 0), (0, 1)))
        pairs = products.reshape(*products.shape[:2], -1, 2).sum(-1)
        result.append(pairs.clip(-(2**15), 2**15 - 1).sum(-1))
    return (np.rint(np.array(result)[None] / scale) + 128).clip(0, 255)


@pytest.mark.parametrize("given", onnx_self_test.KERNELS)
def test_saturating_kernels_are_found_out(given, monkeypatch):
    monkeypatch.setattr(onnx_self_test, "_run", saturating)
    assert not onnx_self_test._agrees(*given)


@pytest.mark.parametrize("given", onnx_self_test.KERNELS)
def test_sums_are_exact_where_the_runtime_is_told_so(given, monkeypatch):
    """On every processor, with the setting that the self-test decides on."""
    import onnxruntime

    plain = onnxruntime.SessionOptions

    def precise():
        options = plain()
        options.add_session_config_entry(onnx_self_test.PRECISE, "1")
        return options

    monkeypatch.setattr(onnxruntime, "SessionOptions", precise)
    assert onnx_self_test._agrees(*given)

"""Products and determinants in torch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

import graphprune as gp


def test_the_determinant_of_halves_is_rounded_once() -> None:
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float16[4,3,3] x) => (float16[4] y) { y = Det(x) }'
    x = np.random.default_rng(0).standard_normal((4, 3, 3)).astype(np.float16)
    result = gp.to_torch(ir.from_onnx_text(text))(torch.from_numpy(x)).numpy()
    assert result.dtype == np.float16
    np.testing.assert_allclose(result, np.linalg.det(x.astype(np.float64)), rtol=1e-3)

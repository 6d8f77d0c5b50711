from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from benchmarks.peers import openers
from graphprune.backends.onnxruntime import session_for
from graphprune.verification.feeds import random_feed

TEXT = """<ir_version: 10, opset_import: ["" : 20]>
g (float[1,4,5,5] x, float[8,4,3,3] w) => (float[1,8,5,5] y, float[1,8,5,5] z) {
    y = Conv <pads = [1,1,1,1]> (x, w)
    z = Relu(y)
}"""


@pytest.mark.parametrize("opener", [openers.graphprune, openers.onnxruntime, openers.tvm])
def test_runs_take_and_give_arrays(opener: openers.Opener, tmp_path: Path) -> None:
    model = ir.from_onnx_text(TEXT)
    is_ours = opener is openers.graphprune
    path = tmp_path / ("model.so" if is_ours else "model.onnx")
    gp.compile(model).save(path) if is_ours else gp.save(model, path)
    feed = random_feed(model)
    given = opener(str(path), feed, 1)()
    for left, right in zip(given, session_for(model).run(None, feed), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)

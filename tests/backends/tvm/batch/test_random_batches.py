"""Random graphs: those whose samples are independent give the same sample by sample as all at once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, assume, given, settings

from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.batch.site import MixedSamplesError
from graphprune.backends.tvm.batch.split import batch_size, find_batch_axes, take_one_sample
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune.passes.shape_inference import infer_shapes
from graphprune.verification.feeds import random_feed
from tests.backends.tvm.test_random_graphs import models


def check(model: ir.Model) -> bool:
    """False for a graph whose samples meet."""
    one = prepare(model, lambda node: refusal(node, OPERATORS))
    samples = batch_size(one.graph)
    if samples < 2:
        return False
    try:
        found = find_batch_axes(one.graph, samples)
    except MixedSamplesError:
        return False
    take_one_sample(one.graph, found)
    infer_shapes(one)  # refuses a shape that does not fit the others
    whole = session_for(model, optimize=False)
    (x,) = random_feed(whole.get_inputs()).values()
    expected, single = whole.run(None, {"x": x}), session_for(one, optimize=False)
    for sample in range(samples):
        for ours, theirs in zip(single.run(None, {"x": x[sample : sample + 1]}), expected, strict=True):
            tolerance = 1e-5 * max(1.0, float(np.abs(theirs).max(initial=0)))
            np.testing.assert_allclose(ours, theirs[sample : sample + 1], rtol=1e-4, atol=tolerance)
    return True


@given(models())
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_one_sample_after_another(model: ir.Model) -> None:
    assume(check(model))

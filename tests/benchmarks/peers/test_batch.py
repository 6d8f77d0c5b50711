import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.peers.batch import with_batch
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import GraphPruneError, InputError
from graphprune.testing import models

HEAD = (
    '<ir_version: 10, opset_import: ["" : 20]> g (float[1,6] x) => (float[A,B] y) '
    "<int64[2] s = {1, 6}, int64[2] t = {2, 3}>"
)


@pytest.mark.parametrize("name", ["demo", "resnet_tiny", "bert_tiny"])
def test_every_row_is_what_it_was_alone(name: str) -> None:
    one = models.build(name)
    three = with_batch(one, 3)
    feeds = [models.random_feed(one, seed) for seed in range(3)]
    together = {key: np.concatenate([feed[key] for feed in feeds]) for key in feeds[0]}
    (given,) = session_for(three).run(None, together)
    expected = [session_for(one).run(None, feed)[0] for feed in feeds]
    np.testing.assert_allclose(given, np.concatenate(expected), rtol=1e-3, atol=1e-4)


def test_shapes_that_are_shared_are_not_written_into() -> None:
    model = ir.from_onnx_text(f"{HEAD} {{ a = Reshape(x, s) b = Reshape(a, s) y = Exp(b) }}")
    assert with_batch(model, 4).graph.outputs[0].shape == (4, 6)
    assert model.graph.inputs[0].shape == (1, 6)
    assert model.graph.initializers["s"].const_value is not None
    assert model.graph.initializers["s"].const_value.numpy().tolist() == [1, 6]


def test_a_row_that_is_lost_is_refused() -> None:
    with pytest.raises(InputError, match=r"^output 'y' is .*, expected 4 rows$"):
        with_batch(ir.from_onnx_text(f"{HEAD} {{ a = Reshape(x, s) y = Transpose(a) }}"), 4)


def test_a_shape_that_has_no_rows_is_refused() -> None:
    with pytest.raises(GraphPruneError):
        with_batch(ir.from_onnx_text(f"{HEAD} {{ y = Reshape(x, t) }}"), 4)

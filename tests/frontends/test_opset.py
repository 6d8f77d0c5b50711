"""Older opsets become opset 18 and compute the same."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.onnx_file import load
from tests.frontends.files import write

RNG = np.random.default_rng(0)


def run(model: bytes, **feed: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


def check_same(path: Path, **feed: np.ndarray) -> ir.Model:
    """Load `path` and compare the model with the file as ONNX Runtime runs it."""
    model = load(path)
    assert model.opset_imports[""] == 18
    np.testing.assert_allclose(
        run(ir.to_proto(model).SerializeToString(), **feed), run(path.read_bytes(), **feed), rtol=1e-6, atol=1e-6
    )
    return model


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


# What changed between opsets 7 and 18: attributes that became inputs, defaults and broadcasting.
OLD = {
    "softmax flattens": (9, "float[2,3,4] x", "float[2,3,4] y", "y = Softmax <axis = 1> (x)"),
    "log softmax": (9, "float[2,3,4] x", "float[2,3,4] y", "y = LogSoftmax(x)"),
    "squeeze": (11, "float[2,1,4] x", "float[2,4] y", "y = Squeeze <axes = [1]> (x)"),
    "unsqueeze": (9, "float[2,4] x", "float[2,1,4] y", "y = Unsqueeze <axes = [1]> (x)"),
    "clip": (9, "float[2,4] x", "float[2,4] y", "y = Clip <min = -0.5, max = 0.5> (x)"),
    "slice": (9, "float[4,4] x", "float[2,4] y", "y = Slice <axes = [0], starts = [1], ends = [3]> (x)"),
    "pad": (9, "float[2,4] x", "float[2,6] y", "y = Pad <pads = [0,1,0,1], value = 2.0> (x)"),
    "reflect": (9, "float[2,4] x", "float[2,6] y", 'y = Pad <mode = "reflect", pads = [0,1,0,1]> (x)'),
    "sum": (7, "float[2,4] x", "float[2,4] y", "y = Sum(x, x, x)"),
    "reduce": (11, "float[2,4,3] x", "float[2,3] y", "y = ReduceSum <axes = [1], keepdims = 0> (x)"),
    "reduce all": (9, "float[2,4,3] x", "float[1,1,1] y", "y = ReduceL2(x)"),
    "reduce mean": (13, "float[2,4,3] x", "float[2,1,3] y", "y = ReduceMean <axes = [1]> (x)"),
    "split": (11, "float[4,4] x", "float[3,4] y", "z, y = Split <axis = 0, split = [1,3]> (x)"),
    "split evenly": (9, "float[4,4] x", "float[2,4] y", "z, y = Split <axis = 0> (x)"),
    "dropout": (9, "float[2,4] x", "float[2,4] y", "y = Dropout <ratio = 0.3> (x)"),
    "top k": (9, "float[2,4] x", "float[2,2] y", "y, i = TopK <axis = 1, k = 2> (x)"),
    "batch norm": (8, "float[2,3,4] x", "float[2,3,4] y", "y = BatchNormalization(x, s, s, s, s)"),
    "filled": (9, "float[2,3,4] x", "float[2,3,4] y", "w = ConstantOfShape <value = float[1] {2}> (n) y = Mul(x, w)"),
    "upsample": (7, "float[1,1,2,2] x", "float[1,1,4,4] y", "y = Upsample <scales = [1.0,1.0,2.0,2.0]> (x)"),
    "upsample linear": (9, "float[1,1,2,2] x", "float[1,1,3,3] y", 'y = Upsample <mode = "linear"> (x, zoom)'),
    "resize": (10, "float[1,1,4,4] x", "float[1,1,6,6] y", "y = Resize(x, zoom)"),
    "resize linear": (10, "float[1,1,4,4] x", "float[1,1,6,6] y", 'y = Resize <mode = "linear"> (x, zoom)'),
    "roi align": (10, "float[1,2,6,6] x", "float[1,2,1,1] y", "y = RoiAlign(x, box, batch)"),
    "average pool": (
        7,
        "float[1,1,5,5] x",
        "float[1,1,2,2] y",
        "y = AveragePool <kernel_shape = [3,3], strides = [2,2]> (x)",
    ),
}
WEIGHTS: dict[str, np.ndarray] = {
    "s": np.array([0.5, 1, 2], np.float32),
    "n": np.array([3, 4], np.int64),
    "zoom": np.array([1, 1, 1.5, 1.5], np.float32),
    "box": np.array([[0, 0, 4, 4]], np.float32),
    "batch": np.array([0], np.int64),
}


@pytest.mark.parametrize("case", OLD)
def test_an_older_file_computes_the_same(tmp_path: Path, case: str) -> None:
    opset, inputs, outputs, body = OLD[case]
    text = f'<ir_version: 5, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}'
    shape = tuple(int(extent) for extent in inputs.partition("[")[2].partition("]")[0].split(","))
    check_same(write(tmp_path / "m.onnx", text, **WEIGHTS), x=normal(*shape))


def test_a_loop_is_converted(tmp_path: Path) -> None:
    text = """<ir_version: 6, opset_import: ["" : 11]> g (float[1,2] x) => (float[1,2] y) {
        y = Loop(m, c, x) <body = b (int64 i, bool k, float[1,2] v) => (bool k2, float[1,2] o) {
            k2 = Identity(k) u = Unsqueeze <axes = [0]> (v) w = Squeeze <axes = [0]> (u) o = Add(w, x)
        }>
    }"""
    check_same(write(tmp_path / "m.onnx", text, m=np.array(3), c=np.ones((), np.bool_)), x=normal(1, 2))


def test_large_weights_survive_the_conversion(tmp_path: Path) -> None:
    text = '<ir_version: 4, opset_import: ["" : 9]> g (float[2,64] x) => (float[2,64] y) { y = MatMul(x, w) }'
    model = check_same(write(tmp_path / "m.onnx", text, w=normal(64, 64)), x=normal(2, 64))
    assert list(model.graph.initializers) == ["w"]
    assert [value.name for value in model.graph.inputs] == ["x"]


def test_subgraphs_are_converted(tmp_path: Path) -> None:
    text = """<ir_version: 6, opset_import: ["" : 11]> g (bool c, float[2,1,3] x) => (float[2,3] y) {
        z = Softmax(x)
        y = If(c) <then_branch = t () => (a) { b = Softmax(z) a = Squeeze <axes = [1]> (b) },
                   else_branch = e () => (d) { d = Squeeze <axes = [1]> (z) }>
    }"""
    path = write(tmp_path / "m.onnx", text, unused=normal(1))
    for condition in (True, False):
        check_same(path, c=np.array(condition), x=normal(2, 1, 3))


def test_functions_of_an_older_file_are_inlined(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 15, "local" : 1]>
    g (float[2,4] x) => (float[2,1] y) { y = local.f(x) }
    <domain: "local", opset_import: ["" : 15]> f (v) => (r) { r = ReduceMean <axes = [1]> (v) }"""
    model = check_same(write(tmp_path / "m.onnx", text, unused=normal(1)), x=normal(2, 4))
    assert not model.functions


def test_a_newer_file_keeps_its_opset(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 19]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    assert load(write(tmp_path / "m.onnx", text)).opset_imports == {"": 19}


def test_names_are_kept(tmp_path: Path) -> None:
    text = """<ir_version: 4, opset_import: ["" : 9]>
    g (float[2] x) => (float[2] y) { [first] a = Relu(x) [second] y = Neg(a) }"""
    assert [node.name for node in load(write(tmp_path / "m.onnx", text)).graph] == ["first", "second"]


SCAN = """opset_import: ["" : 8]> g (float[1,3] x) => (float[1,3] y) {
    [loop] y = Scan <num_scan_inputs = 1, body = b (float i) => (float o) { o = Relu(i) }> ("", x) }"""
SPATIAL = """opset_import: ["" : 8]> g (float[2,3,4] x) => (float[2,3,4] y) {
    y = BatchNormalization <spatial = 0> (x, s, s, s, s) }"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SCAN, r"opset 8 to 18: node 'loop' \(Scan\) means something else from 9 on"),
        (SPATIAL, r"opset 8 to 18: .*Attribute spatial must have value 1"),
    ],
)
def test_what_has_no_conversion_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path / "m.onnx", f"<ir_version: 4, {text}", s=np.ones((3, 4), np.float32))
    with pytest.raises(
        UnsupportedModelError, match=rf"m\.onnx' cannot be converted from {reason} \[GP113\]$"
    ) as caught:
        load(path)
    assert "\n" not in str(caught.value)

"""Operators whose meaning or form changed between opsets 7 and 18, as text of graphs in every form that they had.

A case has the operator, the first and last opset in which its text is valid, the graph's inputs and its body. `OPSETS`
are those of them that brought a new version of the operator, and the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx


@dataclass(frozen=True)
class Case:
    """A graph that was valid from opset `first` to `last`; its outputs are `y`, and `z` if it has two."""

    operator: str
    first: int
    last: int
    inputs: str
    body: str

    @property
    def opsets(self) -> list[int]:
        """Those in which the operator has another version than before."""
        versions = {s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == self.operator}
        return sorted({self.first, *(v for v in versions if self.first <= v <= self.last)})

    def model(self, opset: int) -> onnx.ModelProto:
        """The graph with the constants that it reads; of its outputs the element types are declared, and no shape."""
        outputs = "y, z" if "y, z = " in self.body else "y"
        header = f'<ir_version: 7, opset_import: ["": {opset}]>'
        model = onnx.parser.parse_model(f"{header} g ({self.inputs}) => ({outputs}) {{ {self.body} }}")
        read = {name for node in model.graph.node for name in node.input}
        for name in sorted(read & set(CONSTANTS)):
            model.graph.initializer.append(onnx.numpy_helper.from_array(CONSTANTS[name], name))
        for declared, found in zip(
            model.graph.output, onnx.shape_inference.infer_shapes(model).graph.output, strict=True
        ):
            declared.type.tensor_type.elem_type = found.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        return model


X = "float[2,3,4] x"
IMAGE = "float[1,2,5,6] x"

CONSTANTS: dict[str, np.ndarray] = {
    "two": np.array([2], np.int64),
    "last": np.array([-1], np.int64),
    "begin": np.array([-1, -9], np.int64),
    "end": np.array([-9, 3], np.int64),
    "along": np.array([1, 2], np.int64),
    "back": np.array([-1, 2], np.int64),
    "parts": np.array([1, 2], np.int64),
    "frame": np.array([0, 1, 0, 0, 1, 0], np.int64),
    "cut": np.array([0, -1, 0, 0, 1, 0], np.int64),
    "fill": np.array(2, np.float32),
    "huge": np.array(1e30, np.float32),
    "low": np.array(-0.5, np.float32),
    "high": np.array(0.5, np.float32),
    "shape": np.array([0, -1], np.int64),
    "sizes": np.array([1, 2, 7, 4], np.int64),
    "up": np.array([1, 1, 1.5, 2.5], np.float32),
    "down": np.array([1, 1, 0.5, 0.7], np.float32),
    "mixed": np.array([1, 1, 0.6, 1.9], np.float32),
    "roi": np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9], np.float32),
    "s3": np.array([0.5, 1, 2], np.float32),
    "slope": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
    "i": np.array([[-1, 0], [1, 2]], np.int64),
    "places": np.array([[[0, 1, 2, 0], [2, 2, 1, 0], [1, 0, 0, 1]]], np.int64),
    "updates": np.ones((1, 3, 4), np.float32),
    "chosen": np.array([[0, 1], [1, 2]], np.int64),
    "rows": np.full((2, 4), 3, np.float32),
    "w44": np.arange(16, dtype=np.float32).reshape(4, 4) / 8 - 1,
    "b4": np.arange(4, dtype=np.float32),
    "kernel": (np.arange(54, dtype=np.float32) % 7 - 3).reshape(3, 2, 3, 3),
    "deconvolution": (np.arange(36, dtype=np.float32) % 7 - 3).reshape(2, 2, 3, 3),
    "lstm_w": (np.arange(64, dtype=np.float32) % 9 - 4).reshape(1, 16, 4) / 8,
    "lstm_r": (np.arange(64, dtype=np.float32) % 5 - 2).reshape(1, 16, 4) / 8,
    "gru_w": (np.arange(48, dtype=np.float32) % 9 - 4).reshape(1, 12, 4) / 8,
    "gru_r": (np.arange(48, dtype=np.float32) % 5 - 2).reshape(1, 12, 4) / 8,
    "box": np.array([[0, 0, 4, 4]], np.float32),
    "batch": np.array([0], np.int64),
    "unit": np.array(0.05, np.float32),
    "units": np.array([0.05, 0.1, 0.02], np.float32),
    "zero": np.array(3, np.uint8),
    "zeros": np.array([1, 2, 3], np.uint8),
    "depth": np.array(4, np.int64),
    "off_on": np.array([0, 1], np.float32),
    "axis": np.array(1, np.int64),
    "ratio": np.array(0.5, np.float32),
    "keep": np.array([True, False, True]),
    "labels": np.array([[0, 1, 2, 0], [2, 1, 1, 0]], np.int64),
    "five": np.array(5, np.int64),
}

_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
_ROUNDINGS = [
    ("half_pixel", ""),
    ("half_pixel", "ceil"),
    ("half_pixel", "round_prefer_ceil"),
    ("align_corners", "floor"),
    ("align_corners", ""),
    ("asymmetric", "floor"),
    ("pytorch_half_pixel", ""),
    ("tf_crop_and_resize", ""),
]
_FILTERS = [
    *(("half_pixel", mode) for mode in ("linear", "cubic")),
    *(("align_corners", mode) for mode in ("linear", "cubic")),
    *((coordinates, "linear") for coordinates in ("asymmetric", "pytorch_half_pixel", "tf_crop_and_resize")),
]


def _nearest(coordinates: str, rounding: str, scales: str) -> str:
    nearest = f', nearest_mode="{rounding}"' if rounding else ""
    return f'y = Resize <coordinate_transformation_mode="{coordinates}"{nearest}> (x, roi, {scales})'


def _filtered(coordinates: str, mode: str, scales: str) -> str:
    return f'y = Resize <mode="{mode}", coordinate_transformation_mode="{coordinates}"> (x, roi, {scales})'


def _each(operators: str, first: int, last: int, inputs: str, body: str) -> list[Case]:
    """The same body for several operators."""
    return [Case(name, first, last, inputs, body.replace("OP", name)) for name in operators.split()]


_SOFTMAX = [
    *_each("Softmax LogSoftmax Hardmax", 7, 17, X, "y = OP (x)"),
    *_each("Softmax LogSoftmax Hardmax", 7, 17, X, "y = OP <axis=0> (x)"),
    *_each("Softmax LogSoftmax Hardmax", 11, 17, X, "y = OP <axis=-2> (x)"),
]
_REDUCED = [
    *(Case(f"Reduce{op}", 7, 17, X, f"a = Exp(x) y = Reduce{op} <axes=[1], keepdims=0> (a)") for op in _REDUCTIONS),
    Case("ReduceMean", 11, 17, X, "y = ReduceMean <axes=[-1]> (x)"),
    Case("ReduceMean", 7, 17, X, "y = ReduceMean (x)"),
    Case("ReduceSum", 7, 12, X, "y = ReduceSum <axes=[0,2]> (x)"),
    Case("ReduceSum", 13, 17, X, "y = ReduceSum <noop_with_empty_axes=1> (x)"),
    *_each("ArgMax ArgMin", 7, 17, X, "y = OP <axis=1> (x)"),
    *_each("ArgMax ArgMin", 12, 17, X, "a = Round(x) y = OP <axis=-1, select_last_index=1> (a)"),
]
_SHAPED = [
    Case("Squeeze", 7, 12, "float[2,1,4] x", "y = Squeeze <axes=[1]> (x)"),
    Case("Squeeze", 11, 12, "float[2,4,1] x", "y = Squeeze <axes=[-1]> (x)"),
    Case("Squeeze", 7, 17, "float[2,1,4] x", "y = Squeeze (x)"),
    Case("Unsqueeze", 7, 12, X, "y = Unsqueeze <axes=[0,2]> (x)"),
    Case("Unsqueeze", 13, 17, X, "y = Unsqueeze (x, last)"),
    Case("Flatten", 7, 17, X, "y = Flatten <axis=0> (x)"),
    Case("Flatten", 11, 17, X, "y = Flatten <axis=-1> (x)"),
    Case("Reshape", 7, 17, X, "y = Reshape (x, shape)"),
    Case("Expand", 8, 17, "float[2,1,4] x", "n = Shape (x) t = Add (n, n) s = Sub (t, n) y = Expand (x, s)"),
    Case("Tile", 7, 17, X, "n = Shape (x) y = Tile (x, n)"),
    Case("Shape", 15, 17, X, "y = Shape <start=1> (x)"),
    Case("ConstantOfShape", 9, 17, X, "n = Shape (x) c = ConstantOfShape <value = float[1] {2}> (n) y = Mul (x, c)"),
    Case("Constant", 12, 17, X, "c = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () y = Add (x, c)"),
]
_CUT = [
    Case("Slice", 7, 9, X, "y = Slice <axes=[0,2], starts=[-1,1], ends=[9,-1]> (x)"),
    Case("Slice", 7, 9, X, "y = Slice <starts=[0,1], ends=[2,2]> (x)"),
    Case("Slice", 10, 17, X, "y = Slice (x, begin, end, along, back)"),
    Case("Pad", 7, 10, X, "y = Pad <pads=[0,1,0,0,1,2], value=2.0> (x)"),
    Case("Pad", 7, 10, X, "y = Pad <pads=[0,-1,0,0,1,0]> (x)"),
    Case("Pad", 7, 10, X, 'y = Pad <mode="edge", pads=[0,1,0,0,1,2]> (x)'),
    Case("Pad", 11, 17, X, "y = Pad (x, frame, fill)"),
    Case("Pad", 11, 17, X, "y = Pad (x, cut)"),
    Case("Split", 7, 12, X, "y, z = Split <axis=1, split=[1,2]> (x)"),
    Case("Split", 7, 17, X, "y, z = Split <axis=2> (x)"),
    Case("Split", 13, 17, X, "y, z = Split <axis=-2> (x, parts)"),
    Case("Concat", 11, 17, X, "y = Concat <axis=-1> (x, x)"),
]
_ARITHMETIC = [
    Case("Clip", 7, 10, X, "y = Clip <min=-0.5, max=0.5> (x)"),
    Case("Clip", 7, 10, X, "d = Mul(x, huge) e = Mul(d, huge) y = Clip <max=0.5> (e)"),
    Case("Clip", 11, 17, X, 'y = Clip (x, "", high)'),
    Case("Clip", 11, 17, X, "y = Clip (x, high, low)"),
    *_each("Sum Max Min Mean", 8, 17, X, "y = OP (x, slope)"),
    Case("Sub", 14, 17, "int8[6] x, int8[6] v", "y = Sub (x, v)"),
    Case("Pow", 7, 17, X, "a = Abs(x) y = Pow (a, slope)"),
    Case("Pow", 12, 17, X, "y = Pow (x, two)"),
    Case("Mod", 10, 17, "int64[6] x", "y = Mod (x, five)"),
    *_each("Less Greater", 7, 17, X, "y = OP (x, slope)"),
    *_each("LessOrEqual GreaterOrEqual", 12, 17, X, "y = OP (x, slope)"),
    Case("Where", 9, 17, X, "c = Less (x, slope) y = Where (c, x, slope)"),
    Case("PRelu", 7, 17, X, "y = PRelu (x, slope)"),
    Case("Gemm", 7, 17, "float[3,4] x", "y = Gemm <alpha=0.5, beta=2.0, transB=1> (x, w44, b4)"),
    Case("Gemm", 11, 17, "float[3,4] x", "y = Gemm (x, w44)"),
    Case("QuantizeLinear", 10, 17, X, "y = QuantizeLinear (x, unit, zero)"),
    Case("QuantizeLinear", 13, 17, X, "y = QuantizeLinear (x, units, zeros)"),
    Case("DequantizeLinear", 13, 17, X, "q = QuantizeLinear (x, units, zeros) y = DequantizeLinear (q, units, zeros)"),
]
_NORMALIZED = [
    Case("Dropout", 7, 11, X, "y = Dropout <ratio=0.9> (x)"),
    Case("Dropout", 10, 11, X, "y, z = Dropout <ratio=0.9> (x)"),
    Case("Dropout", 7, 9, X, "a, b = Dropout (x) y = Add (a, b)"),
    Case("Dropout", 12, 17, X, "y, z = Dropout (x, ratio)"),
    Case("BatchNormalization", 7, 8, X, "y = BatchNormalization <spatial=1> (x, s3, s3, s3, s3)"),
    Case("BatchNormalization", 7, 13, X, "y = BatchNormalization <momentum=0.5, epsilon=0.1> (x, s3, s3, s3, s3)"),
    Case("BatchNormalization", 14, 17, X, "y = BatchNormalization (x, s3, s3, s3, s3)"),
    Case("LayerNormalization", 17, 17, X, "y = LayerNormalization (x, slope)"),
    Case("LRN", 7, 17, IMAGE, "y = LRN <size=3, alpha=0.5> (x)"),
    Case("NegativeLogLikelihoodLoss", 12, 17, X, "y = NegativeLogLikelihoodLoss (x, labels)"),
    Case("SoftmaxCrossEntropyLoss", 12, 17, X, 'y = SoftmaxCrossEntropyLoss <reduction="sum"> (x, labels)'),
]
_INDEXED = [
    Case("TopK", 7, 9, X, "y, z = TopK <axis=1, k=2> (x)"),
    Case("TopK", 10, 17, X, "y, z = TopK <axis=1> (x, two)"),
    Case("TopK", 11, 17, X, "y, z = TopK <axis=-1, largest=0> (x, two)"),
    Case("Gather", 11, 17, X, "y = Gather <axis=2> (x, i)"),
    Case("GatherElements", 11, 17, X, "y = GatherElements <axis=1> (x, places)"),
    Case("GatherND", 11, 17, X, "y = GatherND (x, chosen)"),
    Case("Scatter", 9, 10, X, "y = Scatter <axis=1> (x, places, updates)"),
    Case("ScatterElements", 11, 17, X, "y = ScatterElements <axis=1> (x, places, updates)"),
    Case("ScatterElements", 16, 17, X, 'y = ScatterElements <axis=1, reduction="add"> (x, places, updates)'),
    Case("ScatterND", 11, 17, X, "y = ScatterND (x, chosen, rows)"),
    Case("ScatterND", 16, 17, X, 'y = ScatterND <reduction="mul"> (x, chosen, rows)'),
    Case("OneHot", 9, 17, "int64[5] x", "y = OneHot (x, depth, off_on)"),
    Case("Compress", 9, 17, X, "a = Compress <axis=1> (x, keep) y = Add (a, a)"),
    Case("CumSum", 11, 17, X, "y = CumSum <reverse=1> (x, axis)"),
    Case("DepthToSpace", 7, 17, "float[1,8,2,3] x", "y = DepthToSpace <blocksize=2> (x)"),
    Case("DepthToSpace", 11, 17, "float[1,8,2,3] x", 'y = DepthToSpace <blocksize=2, mode="CRD"> (x)'),
]
_WINDOWS = [
    Case("Conv", 7, 17, IMAGE, 'y = Conv <auto_pad="SAME_LOWER", strides=[2,2]> (x, kernel)'),
    Case("ConvTranspose", 7, 17, IMAGE, 'y = ConvTranspose <auto_pad="SAME_UPPER", strides=[2,2]> (x, deconvolution)'),
    Case("ConvTranspose", 7, 17, IMAGE, "y = ConvTranspose <output_shape=[10,12], strides=[2,2]> (x, deconvolution)"),
    Case("MaxPool", 7, 17, IMAGE, 'y = MaxPool <kernel_shape=[3,2], strides=[2,2], auto_pad="SAME_UPPER"> (x)'),
    Case("MaxPool", 8, 17, IMAGE, "y, z = MaxPool <kernel_shape=[3,2], strides=[2,2]> (x)"),
    Case("MaxPool", 10, 17, IMAGE, "y = MaxPool <kernel_shape=[2,2], strides=[2,3], ceil_mode=1> (x)"),
    Case("MaxPool", 10, 17, IMAGE, "y = MaxPool <kernel_shape=[2,2], dilations=[2,1], pads=[1,0,1,0]> (x)"),
    Case("AveragePool", 7, 17, IMAGE, "y = AveragePool <kernel_shape=[3,2], pads=[1,1,1,1], count_include_pad=1> (x)"),
    Case("AveragePool", 10, 17, IMAGE, "y = AveragePool <kernel_shape=[2,2], strides=[2,4], ceil_mode=1> (x)"),
    Case("LpPool", 7, 17, IMAGE, "y = LpPool <kernel_shape=[3,2], strides=[2,2], p=1> (x)"),
    Case("RoiAlign", 10, 15, IMAGE, "y = RoiAlign <sampling_ratio=2, output_height=2, output_width=2> (x, box, batch)"),
    Case("RoiAlign", 16, 17, IMAGE, 'y = RoiAlign <sampling_ratio=2, mode="max"> (x, box, batch)'),
]
_RECURRENT = [
    Case("LSTM", 7, 17, "float[5,2,4] x", "y, z = LSTM <hidden_size=4> (x, lstm_w, lstm_r)"),
    Case("GRU", 7, 17, "float[5,2,4] x", "y, z = GRU <hidden_size=4, linear_before_reset=1> (x, gru_w, gru_r)"),
]
_RESIZED = [
    Case("Upsample", 7, 8, IMAGE, "y = Upsample <scales=[1.0,1.0,1.4,1.9]> (x)"),
    Case("Upsample", 7, 8, IMAGE, 'y = Upsample <mode="linear", scales=[1.0,1.0,1.4,1.9]> (x)'),
    *(Case("Upsample", 9, 9, IMAGE, f'y = Upsample <mode="{mode}"> (x, up)') for mode in ("nearest", "linear")),
    *(Case("Resize", 10, 10, IMAGE, f"y = Resize (x, {scales})") for scales in ("up", "down", "mixed")),
    Case("Resize", 10, 10, IMAGE, "m = Mul (mixed, mixed) y = Resize (x, m)"),
    Case("Resize", 10, 10, IMAGE, 'y = Resize <mode="linear"> (x, mixed)'),
    *(Case("Resize", 11, 17, IMAGE, _nearest(*each, "mixed")) for each in _ROUNDINGS),
    *(Case("Resize", 11, 17, IMAGE, _filtered(*each, "mixed")) for each in _FILTERS),
    *(Case("Resize", 11, 17, IMAGE, _nearest("half_pixel", "", scales)) for scales in ("up", "down")),
    *(Case("Resize", 11, 12, IMAGE, _nearest("tf_half_pixel_for_nn", each, "mixed")) for each in ("floor", "")),
    Case("Resize", 11, 12, IMAGE, _nearest("tf_half_pixel_for_nn", "floor", "down")),
    Case("Resize", 13, 17, IMAGE, 'y = Resize (x, "", "", sizes)'),
]
CASES = [
    *(*_SOFTMAX, *_REDUCED, *_SHAPED, *_CUT, *_ARITHMETIC, *_NORMALIZED, *_INDEXED, *_WINDOWS, *_RECURRENT, *_RESIZED),
]

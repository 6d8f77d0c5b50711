"""The demonstration model: ResNet-18 at 224 x 224, written as an ONNX graph, so that torch is not needed."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from graphprune.passes.shape_inference import infer_shapes
from graphprune.testing.models.seeding import placeholder, seed_weights

_OPSET = 20
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
_BLOCKS = 2
_CLASSES = 1000


def build_demo(size: int = 224) -> ir.Model:
    """Build ResNet-18 (He et al., arXiv:1512.03385) with seeded weights.

    Args:
        size: Height and width of the one input, `image` f32[1, 3, size, size].

    Returns:
        A model with the one output `logits` f32[1, 1000]; batch norms are not folded, as in a training export.
    """
    image = ir.val("image", ir.DataType.FLOAT, (1, 3, size, size))
    network = _Network()
    x = network.conv_norm(image, 3, 64, kernel=7, stride=2, name="stem")
    x = network.op("Relu", x, "stem.relu")
    x = network.op("MaxPool", x, "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, stride) in enumerate(_STAGES):
        for block in range(_BLOCKS):
            x = network.residual(x, channels, width, stride if block == 0 else 1, f"stage{stage}.block{block}")
            channels = width
    model = network.finish(image, network.classify(x, channels))
    seed_weights(model)
    infer_shapes(model)
    return model


class _Network:
    """A graph being written; weights are placeholders of the right shape until `seed_weights`."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.weights: list[ir.Value] = []

    def weight(self, name: str, *shape: int) -> ir.Value:
        self.weights.append(placeholder(name, *shape))
        return self.weights[-1]

    def op(self, op_type: str, x: ir.Value, name: str, *others: ir.Value, **attributes: int | list[int]) -> ir.Value:
        return self.tape.op(op_type, [x, *others], attributes, name=name, output=ir.Value(name=f"{name}.out"))

    def conv_norm(self, x: ir.Value, before: int, after: int, *, kernel: int, stride: int, name: str) -> ir.Value:
        weight = self.weight(f"{name}.conv.weight", after, before, kernel, kernel)
        geometry = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        x = self.op("Conv", x, f"{name}.conv", weight, **geometry)
        parts = ("weight", "bias", "running_mean", "running_var")
        statistics = [self.weight(f"{name}.norm.{part}", after) for part in parts]
        return self.op("BatchNormalization", x, f"{name}.norm", *statistics)

    def residual(self, x: ir.Value, before: int, after: int, stride: int, name: str) -> ir.Value:
        y = self.conv_norm(x, before, after, kernel=3, stride=stride, name=f"{name}.first")
        y = self.op("Relu", y, f"{name}.first.relu")
        y = self.conv_norm(y, after, after, kernel=3, stride=1, name=f"{name}.second")
        if stride != 1 or before != after:
            x = self.conv_norm(x, before, after, kernel=1, stride=stride, name=f"{name}.shortcut")
        return self.op("Relu", self.op("Add", y, f"{name}.add", x), f"{name}.relu")

    def classify(self, x: ir.Value, channels: int) -> ir.Value:
        x = self.op("Flatten", self.op("GlobalAveragePool", x, "head.pool"), "head.flatten")
        weight, bias = self.weight("head.weight", _CLASSES, channels), self.weight("head.bias", _CLASSES)
        return self.op("Gemm", x, "head", weight, bias, transB=1)

    def finish(self, image: ir.Value, logits: ir.Value) -> ir.Model:
        logits.name, logits.dtype, logits.shape = "logits", ir.DataType.FLOAT, ir.Shape((1, _CLASSES))
        graph = ir.Graph(
            [image],
            [logits],
            nodes=self.tape.nodes,
            initializers=self.weights,
            opset_imports={"": _OPSET},
            name="demo",
        )
        return ir.Model(graph, ir_version=10, producer_name="graphprune")

"""The files of the onnx package, with weights of their own."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphprune.testing.models.light import light_names
from tests.weighted import weight_of


def test_all_files_are_listed() -> None:
    assert light_names() == [
        f"light_{name}"
        for name in (
            *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50"),
            *("shufflenet", "squeezenet", "vgg19", "zfnet512"),
        )
    ]


def test_weights_are_seeded_and_no_longer_computed(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("light_squeezenet")
    assert "ConstantOfShape" not in {node.op_type for node in model.graph}
    weight = weight_of(model, "fire2/expand3x3_w_0")
    assert weight.shape == (64, 16, 3, 3)
    np.testing.assert_allclose(weight.std(), np.sqrt(2 / 144), rtol=0.05)


def test_they_are_converted(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("light_shufflenet")
    assert model.opset_imports[""] == 18
    assert [value.name for value in model.graph.inputs] == ["gpu_0/data_0"]

"""What `quantize_static` of ONNX Runtime writes, in each of its settings."""

from pathlib import Path
from typing import Any

import pytest
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from tests.compiler.quantized.tools import (
    IMAGE_WEIGHTS,
    IMAGES,
    MOVE_WEIGHTS,
    MOVES,
    ROW_WEIGHTS,
    ROWS,
    Samples,
    Weights,
    assert_read,
    feeds,
    proto,
)

NETWORKS: dict[str, tuple[str, Weights]] = {
    "images": (IMAGES, IMAGE_WEIGHTS),
    "moves": (MOVES, MOVE_WEIGHTS),
    "rows": (ROWS, ROW_WEIGHTS),
}
T = QuantType


def quantized(path: Path, network: str, opset: int = 18, **settings: Any) -> Path:  # noqa: ANN401 - the tool's
    model = proto(*NETWORKS[network], opset)
    settings = {"activation_type": T.QUInt8, "weight_type": T.QInt8, **settings}
    quantize_static(model, path, Samples(feeds(model)), **settings)
    return path


TYPES = [
    (T.QUInt8, T.QInt8, 18),
    (T.QInt8, T.QInt8, 18),
    (T.QUInt8, T.QUInt8, 18),
    (T.QInt16, T.QInt16, 21),
    (T.QUInt16, T.QUInt16, 21),
    (T.QUInt8, T.QInt4, 21),
    (T.QUInt8, T.QUInt4, 21),
    (T.QUInt4, T.QInt4, 21),
    (T.QInt4, T.QInt4, 21),
]


@pytest.mark.parametrize(("activations", "weights", "opset"), TYPES)
def test_every_type_of_integers(tmp_path: Path, activations: QuantType, weights: QuantType, opset: int) -> None:
    path = quantized(tmp_path / "m.onnx", "images", opset, activation_type=activations, weight_type=weights)
    assert_read(path, 2 / 15 if activations in {T.QInt4, T.QUInt4} else 2 / 255)


OPTIONS: list[dict[str, Any]] = [
    {"per_channel": True},
    {"reduce_range": True, "per_channel": True},
    *(
        {"per_channel": True, "extra_options": {name: value}}
        for name, value in {
            "ActivationSymmetric": True,
            "WeightSymmetric": False,
            "AddQDQPairToWeight": True,
            "OpTypesToExcludeOutputQuantization": ["Conv", "Add", "MatMul"],
            "DedicatedQDQPair": True,
            "QDQKeepRemovableActivations": True,
            "UseQDQContribOps": True,
            "ForceQuantizeNoInputCheck": True,
            "QuantizeBias": False,
            "ActivationRestrictedAsymmetric": True,
        }.items()
    ),
]


@pytest.mark.parametrize("settings", OPTIONS, ids=str)
def test_every_option(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert_read(quantized(tmp_path / "m.onnx", "images", **settings))


@pytest.mark.parametrize("kind", [T.QUInt16, T.QInt16, T.QInt4, T.QUInt4])
def test_widths_that_an_old_opset_lacks_are_operators_of_onnx_runtime(tmp_path: Path, kind: QuantType) -> None:
    extra: dict[str, Any] = {"extra_options": {"UseQDQContribOps": True}}
    path = quantized(tmp_path / "m.onnx", "rows", activation_type=kind, **extra)
    assert_read(path, 2 / 15 if kind in {T.QInt4, T.QUInt4} else 2 / 255)


@pytest.mark.parametrize("kind", [T.QInt8, T.QUInt8, T.QInt4])
@pytest.mark.parametrize("size", [4, 6])
def test_blocks(tmp_path: Path, kind: QuantType, size: int) -> None:
    extra: dict[str, Any] = {"extra_options": {"BlockSize": size}}
    assert_read(quantized(tmp_path / "m.onnx", "rows", opset=21, weight_type=kind, **extra))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("types", [(T.QUInt8, T.QUInt8), (T.QInt8, T.QInt8)])
@pytest.mark.parametrize("scales", ["one", "each"])
def test_operators_on_integers(tmp_path: Path, network: str, types: tuple[QuantType, QuantType], scales: str) -> None:
    given: dict[str, Any] = {"activation_type": types[0], "weight_type": types[1], "per_channel": scales == "each"}
    extra: dict[str, Any] = {"extra_options": {"ForceQuantizeNoInputCheck": True}}
    assert_read(quantized(tmp_path / "m.onnx", network, quant_format=QuantFormat.QOperator, **given, **extra))


@pytest.mark.parametrize("opset", [13, 19, 22, 24])
def test_every_opset(tmp_path: Path, opset: int) -> None:
    assert_read(quantized(tmp_path / "m.onnx", "images", opset, per_channel=opset > 13))

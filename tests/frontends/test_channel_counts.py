from pathlib import Path

import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.channel_counts import check_channel_counts


def graph(operator: str, channels: int | str, weight: str) -> ir.Graph:
    text = f"""<ir_version: 10, opset_import: ["" : 20]>
    g (float[1,{channels},5,5] x, float[{weight}] w) => (y) {{ [node] y = {operator} (x, w) }}"""
    return ir.from_onnx_text(text).graph


@pytest.mark.parametrize(
    ("operator", "channels", "weight"),
    [
        ("Conv", 8, "4,8,3,3"),
        ("Conv <group = 2>", 8, "4,4,3,3"),
        ("ConvTranspose", 8, "8,4,3,3"),
        ("ConvTranspose <group = 2>", 8, "8,2,3,3"),
        ("Conv", "channels", "4,7,3,3"),
        ("Add", 8, "4,7,3,3"),
    ],
)
def test_what_fits_or_is_not_known_passes(operator: str, channels: int | str, weight: str) -> None:
    check_channel_counts(graph(operator, channels, weight), Path("m.onnx"))


@pytest.mark.parametrize(
    ("operator", "weight", "taken"),
    [
        ("Conv", "4,5,3,3", 5),
        ("Conv <group = 2>", "4,8,3,3", 16),
        ("ConvTranspose", "5,4,3,3", 5),
        ("ConvTranspose <group = 2>", "4,2,3,3", 4),
    ],
)
def test_other_counts_are_refused(operator: str, weight: str, taken: int) -> None:
    message = rf"'m.onnx': node 'node' \(Conv.*\): input has 8 channels, expected {taken} as the weight takes \[GP110\]"
    with pytest.raises(UnsupportedModelError, match=message):
        check_channel_counts(graph(operator, 8, weight), Path("m.onnx"))

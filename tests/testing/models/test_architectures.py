"""Architectures from transformers."""

import sys
from collections.abc import Callable

import onnx_ir as ir
import pytest

from graphprune.errors import GraphPruneError
from graphprune.testing.models.architectures import build_architecture


def test_a_missing_transformers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(GraphPruneError, match=r"model 'bert_tiny' .*pip install 'graphprune\[dev\]' \[GP124\]$"):
        build_architecture("bert_tiny")


def test_initializers_have_the_names_of_the_state_dict(tiny_models: Callable[[str], ir.Model]) -> None:
    names = set(tiny_models("resnet_tiny").graph.initializers)
    block = "resnet.encoder.stages.0.layers.0.layer.0"
    assert {f"{block}.convolution.weight", f"{block}.normalization.running_var", "classifier.1.weight"} <= names


def test_padding_is_separate_in_one_mobilenet_and_inside_in_the_other(tiny_models: Callable[[str], ir.Model]) -> None:
    assert "Pad" not in {node.op_type for node in tiny_models("mobilenet_tiny").graph}

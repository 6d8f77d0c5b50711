"""The named models: complete, sane, the same every time."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.sparsity import weight_counts
from graphprune.analysis.weights import prunable_weights
from graphprune.errors import InputError
from graphprune.stages.stage import Stage, get_stage
from graphprune.testing.models import build, names, random_feed
from tests.testing.models.running import run

TINY = ["resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny"]
SMALL = [*TINY, "light_squeezenet", "light_shufflenet"]


def test_the_names() -> None:
    assert {"demo", "resnet50", "mobilenet_v1", "mobilenet_v2", "bert_base", "vit_small", *TINY} <= set(names())
    assert len([name for name in names() if name.startswith("light_")]) == 9


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"no model is called 'resnet51'; there are demo, resnet50, .*\[GP123\]$"):
        build("resnet51")


@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_of_order_one_and_depend_on_the_input(tiny_models: Callable[[str], ir.Model], name: str) -> None:
    model = tiny_models(name)
    first, second = (run(model, random_feed(model, seed))[0] for seed in (1, 2))
    assert np.isfinite(first).all()
    are_probabilities = bool(np.isclose(first.sum(), 1))
    assert are_probabilities or 0.1 < first.std() < 10
    assert np.abs(first - second).max() > 1e-2 * first.std()


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_finite_and_shapes_known(tiny_models: Callable[[str], ir.Model], name: str) -> None:
    model = tiny_models(name)
    counts = weight_counts(model)
    assert [weight for weight, count in counts.items() if count.nonfinite and not weight.startswith("val_")] == []
    assert all(value.shape is not None for node in model.graph for value in node.outputs)
    assert get_stage(model) is Stage.DENSE
    assert model.opset_imports[""] >= 18


@pytest.mark.parametrize("name", TINY)
def test_tiny_models_are_tiny_and_have_something_to_prune(tiny_models: Callable[[str], ir.Model], name: str) -> None:
    model = tiny_models(name)
    assert sum(count.elements for count in weight_counts(model).values()) < 1_000_000
    assert len(prunable_weights(model)[0]) >= 8


@pytest.mark.parametrize("name", ["resnet_tiny", "light_shufflenet"])
def test_each_build_is_a_new_and_equal_model(name: str) -> None:
    first, second = build(name), build(name)
    assert first is not second
    assert ir.to_proto(first) == ir.to_proto(second)


def test_bert_takes_tokens_and_a_mask(tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("bert_tiny")
    assert [(value.name, value.dtype) for value in model.graph.inputs] == [
        ("input_ids", ir.DataType.INT64),
        ("attention_mask", ir.DataType.INT64),
    ]
    assert [value.name for value in model.graph.outputs] == ["last_hidden_state"]
    feed = random_feed(model)
    seen, hidden = run(model, feed)[0], run(model, feed | {"attention_mask": np.ones((1, 16), np.int64)})[0]
    assert np.abs(seen - hidden).max() > 1e-3

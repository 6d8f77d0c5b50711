"""Names of files as names in modules: whatever they are, data; readable where they can be; given back by the export."""

from __future__ import annotations

import copy
import keyword
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import graphprune as gp
from graphprune.frontends.torch_names import AttributeNames, is_safe, word
from graphprune.training import Schedule, TrainingSettings, prepare

WEIGHTS = np.random.default_rng(0).random((2, 8, 8), np.float32)
X = torch.linspace(-1, 1, 16).reshape(2, 8)


def chain(names: tuple[str, str, str, str, str]) -> ir.Model:
    """Two products and a ReLU whose input, weights, value between and output have those names."""
    x, first, second, between, y = names
    nodes = [
        helper.make_node("MatMul", [x, first], [between]),
        helper.make_node("MatMul", [between, second], [y]),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", 8])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(WEIGHTS[0], first), numpy_helper.from_array(WEIGHTS[1], second)],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))


EXPECTED = X @ torch.from_numpy(WEIGHTS[0]) @ torch.from_numpy(WEIGHTS[1])
COMMAND = "forward\"), getattr(__import__('os'),'system')('touch marker'), (\""
STRANGE = [
    *keyword.kwlist,
    *("self", "torch", "device", "inf", "nan", "forward", "graph", "code", "training", "getattr", "output", "operator"),
    *("a.b", "a", "a.b.c", "a..b", ".a", "a.", ".", "layer1.0.weight", "w.in", "0", "1.0", "_parameters", "__class__"),
    *('a"b', "a'b", "a\\", "a\nb", "a\rb", "a\x00b", "{a}", "a;b", "a=b", "a(b)", " ", "\t", "#", "ﬁ", "fi", "é", "²"),
    *("x" * 10_000, "x" * 9_999 + "y", COMMAND, "os.system", "onnx::MatMul_12/a-b.weight"),
]
names_of_all_kinds = st.one_of(st.sampled_from(STRANGE), st.text(min_size=1, max_size=12))


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[names_of_all_kinds] * 5).filter(lambda names: len(set(names)) == len(names)))
@example(("x", "a", "a.b", "y", "z"))
@example(("x", "w", "w_1", 'w"', "w'"))
@example(("x", 'w"', "w_", "a", "b"))
@example(("None", "False", "class", "\t", "as"))
@example(("False", "self", "device", "None", "True"))
@example(("and", "os.system", "False", "None", "True"))
@example(("self", "in", "torch", "from", "output"))
@example(("a.b", "a_b", 'a"b', "a-b", "a b"))
def test_any_names_compute_the_same(names: tuple[str, str, str, str, str]) -> None:
    module = gp.to_torch(chain(names))
    torch.testing.assert_close(module(X), EXPECTED)
    torch.testing.assert_close(copy.deepcopy(module)(X), EXPECTED)
    found = {parameter.detach().numpy().tobytes(): name for name, parameter in module.named_parameters()}
    assert found.keys() == {weight.tobytes() for weight in WEIGHTS}
    places = [found[weight.tobytes()] for weight in WEIGHTS]
    assert len(set(places)) == 2
    assert all(
        place == name for place, name in zip(places, names[1:3], strict=True) if is_safe(name) and "a" not in name
    )


@pytest.mark.parametrize("name", ["layer1.0.weight", "onnx::MatMul_12/a-b.weight", "Conv_W", "dense/kernel:0", "0.1"])
def test_safe_names_stay(name: str) -> None:
    for strange in ('layer1.0."weight"', "dense/kernel;0"):
        module = gp.to_torch(chain(("x", strange, name, "a", "y")))
        assert list(module.state_dict()) == [word(strange), name]


def test_the_command_in_a_name_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in range(5):
        names = ["x", "v", "w", "y", "z"]
        names[place] = COMMAND
        module = gp.to_torch(chain((names[0], names[1], names[2], names[3], names[4])))
        assert COMMAND not in module.code
        torch.testing.assert_close(module(X), EXPECTED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", [("in", 'w"', "w\\", "from", "y 0"), ("x", "a", "a.b", "value_0", "matmul")])
def test_the_export_has_the_names_of_the_file(names: tuple[str, str, str, str, str]) -> None:
    x, first, second, _, y = names
    again = gp.from_torch(gp.to_torch(chain(names)), (X,))
    assert [value.name for value in again.graph.inputs] == [x]
    assert [value.name for value in again.graph.outputs] == [y]
    assert {first, second} <= set(again.graph.initializers)
    onnx.checker.check_model(ir.to_proto(again), full_check=True)
    (found,) = gp.compile(again).run(None, {x: X.numpy()})
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-5)


def test_a_recipe_names_weights_as_the_file_does() -> None:
    model = chain(("x", 'w"', "w\\", "a", "y"))
    module = gp.to_torch(model)
    recipe = gp.Recipe(sparsity=0.5, targets=('w"',), training=TrainingSettings(schedule=Schedule(ramp="constant")))
    pruner = prepare(module, (X,), recipe)
    assert [site.name for site in pruner.sites] == ['w"']
    pruner.step()
    sparse = gp.from_torch(pruner.finalize(), (X,))
    zeros = {name: int((sparse.graph.initializers[name].const_value.numpy() == 0).sum()) for name in ('w"', "w\\")}  # type: ignore[union-attr]
    assert zeros == {'w"': 32, "w\\": 0}


@given(st.lists(names_of_all_kinds, max_size=30))
def test_places_are_safe_and_lie_beside_each_other(names: list[str]) -> None:
    taken = AttributeNames()
    places = [taken.take(name) for name in names]
    assert len(set(places)) == len(names)
    assert all(is_safe(place) for place in places)
    assert not any(one.startswith(f"{other}.") for one in places for other in places)


@given(names_of_all_kinds)
def test_words_are_short_identifiers(name: str) -> None:
    made = word(name)
    assert made.isidentifier()
    assert made.isascii()
    assert len(made) <= 81
    assert made != "self"

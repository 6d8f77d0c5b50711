"""Public functions that are given something else than they take say what, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import graphprune as gp
from graphprune.errors import InputError
from tests.small_model import proto

RECIPE = gp.Recipe(sparsity=0.5)
TAKERS: dict[str, Callable[..., object]] = {
    "compile": gp.compile,
    "plan": lambda model: gp.plan(model, RECIPE),
    "save": lambda model: gp.save(model, "out.onnx"),
    "to_torch": gp.to_torch,
    "fold-constants": lambda model: gp.Pipeline([gp.passes.FoldConstants()]).run(model),
}
PROGRAM = torch.export.export(torch.nn.Linear(2, 3), (torch.ones(1, 2),))


@pytest.mark.parametrize("function", TAKERS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("m.onnx", "the path 'm.onnx', expected an onnx_ir.Model; read it with graphprune.load(path)"),
        (Path("m.onnx"), "the path 'm.onnx', expected an onnx_ir.Model; read it with graphprune.load(path)"),
        (proto(), "a ModelProto, expected an onnx_ir.Model; make one with onnx_ir.from_proto, or write it to a file"),
        (torch.nn.Linear(2, 3), "a Linear, expected an onnx_ir.Model; convert it with graphprune.from_torch(module"),
        (
            PROGRAM,
            "a ExportedProgram, expected an onnx_ir.Model; convert it with graphprune.from_torch(program)",
        ),
        (None, "a NoneType, expected an onnx_ir.Model; read it with graphprune.load(path)"),
    ],
)
def test_what_is_no_model(function: str, given: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        TAKERS[function](given)
    assert str(caught.value).startswith(f"{function}: model is {said}")
    assert caught.value.code == "GP536"


def test_the_way_on_from_a_program_leads_there() -> None:
    assert gp.plan(gp.from_torch(PROGRAM), RECIPE).weights


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("r.yaml", "the path 'r.yaml', expected a graphprune.Recipe; read it with Recipe.load(path)"),
        ({"sparsity": 0.5}, "a dict, expected a graphprune.Recipe; make one with Recipe(sparsity=0.9, ...)"),
    ],
)
def test_what_is_no_recipe(recipe: object, said: str) -> None:
    model = gp.from_torch(torch.nn.Linear(2, 3), (torch.ones(1, 2),))
    with pytest.raises(InputError) as caught:
        gp.plan(model, recipe)  # type: ignore[arg-type] # on purpose
    assert str(caught.value) == f"plan: recipe is {said} [GP536]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("m.onnx", RECIPE, None), "module is the path 'm.onnx', expected a torch.nn.Module; a file becomes one by"),
        ((proto(), RECIPE, None), "module is a ModelProto, expected a torch.nn.Module; a file becomes one by"),
        ((torch.nn.Linear(2, 3), "r.yaml", None), "recipe is the path 'r.yaml', expected a graphprune.Recipe"),
        ((torch.nn.Linear(2, 3), RECIPE, "p.json"), "plan is the path 'p.json', expected a graphprune.PruningPlan"),
    ],
)
def test_what_training_does_not_take(arguments: tuple[object, object, object], said: str) -> None:
    module, recipe, plan = arguments
    with pytest.raises(InputError) as caught:
        gp.training.prepare(module, (torch.ones(1, 2),), recipe, plan=plan)  # type: ignore[arg-type] # on purpose
    assert str(caught.value).startswith(f"prepare: {said}")


def test_verify_names_the_way_from_a_proto() -> None:
    said = (
        r"^reference is a ModelProto, expected a path, an onnx_ir\.Model or a session; make a model of it with onnx_ir"
    )
    with pytest.raises(InputError, match=said):
        gp.verify(proto(), "m.onnx")

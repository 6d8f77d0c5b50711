"""The public face: every name resolves, and importing the package costs nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import graphprune


@pytest.mark.parametrize("name", graphprune.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(graphprune, name) is getattr(graphprune, name)
    assert name in dir(graphprune)


@pytest.mark.parametrize("name", [name for name in graphprune.__all__ if name not in graphprune._ROOMS])
def test_no_module_hides_a_public_name(name: str) -> None:
    assert importlib.util.find_spec(f"graphprune.{name}") is None


def test_the_table_of_homes_is_complete() -> None:
    assert {*graphprune._HOMES, *graphprune._ROOMS} == set(graphprune.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'graphprune' has no attribute 'prone'"):
        _ = graphprune.prone


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'pydantic', 'torch', 'tvm'}"
    code = f"import sys, graphprune; print(sorted({heavy} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_planning_and_passes_need_neither_torch_nor_tvm() -> None:
    code = (
        "import sys, graphprune as gp; gp.plan, gp.load, gp.Pipeline, gp.passes.PruneWeights, gp.compile;"
        "print(sorted({'torch', 'tvm', 'onnxruntime'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["training", "to_torch"])
def test_what_needs_torch_says_so_without_it(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import graphprune as gp\n"
        f"try: gp.{name}\n"
        "except gp.GraphPruneError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("torch is needed for this (")
    assert run.stdout.endswith("pip install 'graphprune[train]' [GP122]\n")

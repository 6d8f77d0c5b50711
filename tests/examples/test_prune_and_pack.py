"""examples/prune_and_pack.py, run as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

from graphprune.frontends.onnx_file import load
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe
from graphprune.stages.stage import Stage, get_stage

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_it_runs_and_leaves_its_files(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "prune_and_pack.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert "packed.onnx computes what pruned.onnx computes" in result.stdout
    assert "magnitude: conv2.weight: 16589 of 18432 elements set to zero (90.0%, unstructured)" in result.stdout
    pruned = {weight.name: weight.pruned for weight in PruningPlan.load(tmp_path / "plan.yaml").weights}
    assert pruned == {"conv1.weight": 1152, "conv2.weight": 16589}
    assert get_stage(load(tmp_path / "pruned.onnx")) is Stage.SPARSE
    assert get_stage(load(tmp_path / "packed.onnx")) is Stage.PACKED
    assert (tmp_path / "packed.onnx").stat().st_size < 0.5 * (tmp_path / "pruned.onnx").stat().st_size


def test_the_recipe_is_sound() -> None:
    assert Recipe.load(EXAMPLES / "recipe.yaml").rules[0].sparsity == 0.5

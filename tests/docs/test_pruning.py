"""docs/pruning.md: its code runs from top to bottom, and its recipe is one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.recipe import Recipe

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "pruning.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/pruning.md", "exec"), names)  # noqa: S102 - our own page
    assert (tmp_path / "plan.yaml").exists()


def test_the_recipes_are_some_with_every_key() -> None:
    weights, channels = (yaml.safe_load(text) for text in blocks("yaml"))
    assert set(weights) | set(channels) == set(Recipe.model_fields)
    assert set(channels["channels"]) == set(ChannelOptions.model_fields)
    assert Recipe(**weights).sparsity == 0.9
    assert Recipe(**channels).channels.indices == {"conv1": (3, 0)}

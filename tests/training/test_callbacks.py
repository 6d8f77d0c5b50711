"""Callbacks: one step of the pruner for each step of the optimizer."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from graphprune.training.callbacks import lightning_callback, trainer_callback
from tests.training.small import prepared


def test_the_trainers_callback_steps() -> None:
    transformers = pytest.importorskip("transformers")
    _, pruner = prepared()
    callback = trainer_callback(pruner)
    handler = transformers.trainer_callback.CallbackHandler([callback], None, None, None, None)
    control = transformers.TrainerControl()
    handler.on_step_end(SimpleNamespace(), transformers.TrainerState(), control)
    handler.on_step_end(SimpleNamespace(), transformers.TrainerState(), control)
    assert pruner.steps == 2


def test_lightnings_callback_steps_with_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("lightning.pytorch.callbacks")
    library.Callback = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", ModuleType("lightning.pytorch"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch.callbacks", library)
    _, pruner = prepared()
    callback = lightning_callback(pruner)
    for global_step in (0, 1, 1, 2):  # every second batch only accumulates
        callback.on_train_batch_end(SimpleNamespace(global_step=global_step), None, None, None, 0)
    assert pruner.steps == 2

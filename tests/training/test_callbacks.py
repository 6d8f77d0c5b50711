"""The callback of Hugging Face's trainer, hook by hook; whole runs are in test_trainers.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers

from graphprune.errors import PreconditionError, RecipeError
from graphprune.training import Pruner
from graphprune.training.callbacks import trainer_callback
from tests.training.small import prepared, recipe


def handler_of(pruner: Pruner) -> Any:  # noqa: ANN401 - transformers ships no types
    return transformers.trainer_callback.CallbackHandler([trainer_callback(pruner)], None, None, None, None)


def test_the_trainers_callback_steps() -> None:
    _, pruner = prepared()
    handler = handler_of(pruner)
    control, state = transformers.TrainerControl(), transformers.TrainerState()
    handler.on_train_begin(SimpleNamespace(), state, control)
    handler.on_step_end(SimpleNamespace(), state, control)
    handler.on_step_end(SimpleNamespace(), state, control)
    assert pruner.steps == 2


def saved_state(pruner: Pruner, folder: Path, step: int) -> Any:  # noqa: ANN401 - transformers ships no types
    """The state of a trainer with the pruner's callback, written and read as it does."""
    state = transformers.TrainerState(global_step=step, stateful_callbacks=[trainer_callback(pruner)])
    state.save_to_json(str(folder / "trainer_state.json"))
    return transformers.TrainerState.load_from_json(str(folder / "trainer_state.json"))


def test_the_trainers_checkpoint_has_the_schedule(tmp_path: Path) -> None:
    _, pruner = prepared()
    for _ in range(3):
        pruner.step()
    state = saved_state(pruner, tmp_path, 3)
    _, resumed = prepared()
    handler_of(resumed).on_train_begin(SimpleNamespace(), state, SimpleNamespace())
    assert resumed.state_dict() == pruner.state_dict()
    _, other = prepared(recipe(sparsity=0.5))
    with pytest.raises(RecipeError, match="GP720"):
        handler_of(other).on_train_begin(SimpleNamespace(), state, SimpleNamespace())
    state.stateful_callbacks.clear()
    with pytest.raises(PreconditionError, match=r"the checkpoint of step 3 was saved without .*\[GP721\]"):
        handler_of(resumed).on_train_begin(SimpleNamespace(), state, SimpleNamespace())

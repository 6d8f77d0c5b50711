"""Callbacks for the trainers of Hugging Face and Lightning. The libraries are imported when a callback is made."""

from __future__ import annotations

from typing import Any

from graphprune.errors import PreconditionError
from graphprune.training.pruner import Pruner


def trainer_callback(pruner: Pruner) -> Any:  # noqa: ANN401 - a transformers.TrainerCallback
    """Return a callback for Hugging Face's `Trainer` that steps `pruner` after every step of the optimizer.

    Where the schedule stands is saved in the trainer's state, with every checkpoint. A run that is resumed goes on
    there; it raises `RecipeError` (GP720) if the recipe is another one, and `PreconditionError` (GP721) if the
    checkpoint has no such state.
    """
    from transformers import TrainerCallback
    from transformers.trainer_callback import ExportableState

    class PruningCallback(TrainerCallback, ExportableState):  # type: ignore[misc] # transformers ships no types
        def on_train_begin(self, args: object, state: Any, control: object, **kwargs: object) -> None:  # noqa: ANN401
            del args, control, kwargs
            if state.global_step > 0:
                pruner.load_state_dict(_saved(state, type(self).__name__))

        def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
            del args, state, control, kwargs
            pruner.step()

        def state(self) -> dict[str, Any]:
            return {"args": {}, "attributes": {"position": pruner.state_dict()}}

    return PruningCallback()


def _saved(state: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - a transformers.TrainerState
    found = state.stateful_callbacks.get(name)
    if found is None:
        reason = f"the checkpoint of step {state.global_step} was saved without this callback"
        raise PreconditionError(f"{reason}, so where the schedule stood is unknown", code="GP721")
    position: dict[str, Any] = found["attributes"]["position"]
    return position


def lightning_callback(pruner: Pruner) -> Any:  # noqa: ANN401 - a lightning Callback
    """Return a callback for Lightning's `Trainer` that steps `pruner` after every step of the optimizer.

    With accumulated gradients, Lightning calls its hook for every batch; the optimizer's steps are counted. Where the
    schedule stands is saved with every checkpoint, and restored from it; another recipe raises `RecipeError` (GP720).
    """
    from lightning.pytorch.callbacks import Callback

    class PruningCallback(Callback):  # type: ignore[misc] # an optional library
        seen = 0

        def on_train_start(self, trainer: Any, *rest: object) -> None:  # noqa: ANN401
            del rest
            self.seen = trainer.global_step

        def on_train_batch_end(self, trainer: Any, *rest: object) -> None:  # noqa: ANN401
            del rest
            if trainer.global_step > self.seen:
                self.seen = trainer.global_step
                pruner.step()

        def state_dict(self) -> dict[str, Any]:
            return pruner.state_dict()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            pruner.load_state_dict(state_dict)

    return PruningCallback()

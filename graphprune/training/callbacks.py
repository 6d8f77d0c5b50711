"""Callbacks for the trainers of Hugging Face and Lightning. The libraries are imported when a callback is made."""

from __future__ import annotations

from typing import Any

from graphprune.training.pruner import Pruner


def trainer_callback(pruner: Pruner) -> Any:  # noqa: ANN401 - a transformers.TrainerCallback
    """Return a callback for Hugging Face's `Trainer` that steps `pruner` after every step of the optimizer."""
    from transformers import TrainerCallback

    class PruningCallback(TrainerCallback):  # type: ignore[misc] # transformers ships no types
        def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
            del args, state, control, kwargs
            pruner.step()

    return PruningCallback()


def lightning_callback(pruner: Pruner) -> Any:  # noqa: ANN401 - a lightning Callback
    """Return a callback for Lightning's `Trainer` that steps `pruner` after every step of the optimizer.

    With accumulated gradients, Lightning calls its hook for every batch; the optimizer's steps are counted.
    """
    from lightning.pytorch.callbacks import Callback

    class PruningCallback(Callback):  # type: ignore[misc] # an optional library
        seen = 0

        def on_train_batch_end(self, trainer: Any, *rest: object) -> None:  # noqa: ANN401
            del rest
            if trainer.global_step > self.seen:
                self.seen = trainer.global_step
                pruner.step()

    return PruningCallback()

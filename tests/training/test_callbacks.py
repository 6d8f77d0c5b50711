"""Callbacks: one step of the pruner for each step of the optimizer, and a schedule that goes on where it was saved."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from graphprune.errors import PreconditionError, RecipeError
from graphprune.training import Pruner, prepare
from graphprune.training.callbacks import lightning_callback, trainer_callback
from tests.training.small import images, network, prepared, recipe, zeros


def handler_of(pruner: Pruner) -> Any:  # noqa: ANN401 - transformers ships no types
    transformers = pytest.importorskip("transformers")
    return transformers.trainer_callback.CallbackHandler([trainer_callback(pruner)], None, None, None, None)


def test_the_trainers_callback_steps() -> None:
    _, pruner = prepared()
    handler = handler_of(pruner)
    transformers = pytest.importorskip("transformers")
    control, state = transformers.TrainerControl(), transformers.TrainerState()
    handler.on_train_begin(SimpleNamespace(), state, control)
    handler.on_step_end(SimpleNamespace(), state, control)
    handler.on_step_end(SimpleNamespace(), state, control)
    assert pruner.steps == 2


def saved_state(pruner: Pruner, folder: Path, step: int) -> Any:  # noqa: ANN401 - transformers ships no types
    """The state of a trainer with the pruner's callback, written and read as it does."""
    transformers = pytest.importorskip("transformers")
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


@pytest.fixture
def stub_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("lightning.pytorch.callbacks")
    library.Callback = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", ModuleType("lightning.pytorch"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch.callbacks", library)


@pytest.mark.usefixtures("stub_lightning")
def test_lightnings_callback_steps_with_the_optimizer() -> None:
    _, pruner = prepared()
    callback = lightning_callback(pruner)
    callback.on_train_start(SimpleNamespace(global_step=0), None)
    for global_step in (0, 1, 1, 2):  # every second batch only accumulates
        callback.on_train_batch_end(SimpleNamespace(global_step=global_step), None, None, None, 0)
    assert pruner.steps == 2


@pytest.mark.usefixtures("stub_lightning")
def test_lightnings_checkpoint_has_the_schedule() -> None:
    _, pruner = prepared()
    for _ in range(3):
        pruner.step()
    _, resumed = prepared()
    callback = lightning_callback(resumed)
    callback.load_state_dict(lightning_callback(pruner).state_dict())
    callback.on_train_start(SimpleNamespace(global_step=3), None)
    callback.on_train_batch_end(SimpleNamespace(global_step=3), None, None, None, 0)  # it only accumulates
    assert resumed.steps == 3
    callback.on_train_batch_end(SimpleNamespace(global_step=4), None, None, None, 1)
    assert resumed.steps == 4


class WithLoss(nn.Module):
    """What Hugging Face's trainer takes: a call by keywords that returns the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": nn.functional.cross_entropy(self.network(x), labels)}


def hugging_face_run(folder: Path, steps: int, resume: str | None = None) -> tuple[WithLoss, Pruner]:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    module = WithLoss()
    pruner = prepare(module.network, (images(),), recipe(start=2, length=4))
    data = [{"x": images(index, 1)[0], "labels": torch.tensor(index % 4)} for index in range(32)]
    keys = {"max_steps": steps, "save_steps": 4, "per_device_train_batch_size": 4, "report_to": [], "use_cpu": True}
    arguments = transformers.TrainingArguments(str(folder), seed=0, disable_tqdm=True, **keys)
    trainer = transformers.Trainer(module, arguments, train_dataset=data, callbacks=[trainer_callback(pruner)])
    trainer.train(resume_from_checkpoint=resume)
    return module, pruner


def test_a_run_of_hugging_faces_trainer_is_resumed(tmp_path: Path) -> None:
    whole, pruner = hugging_face_run(tmp_path / "whole", 8)
    again, other = hugging_face_run(tmp_path / "again", 8, str(tmp_path / "whole" / "checkpoint-4"))
    assert pruner.steps == other.steps == 8
    assert zeros(pruner.finalize(), "0.weight") == zeros(other.finalize(), "0.weight") == 648
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def lightning_run(folder: Path, steps: int, resume: str | None = None) -> Pruner:
    lightning = pytest.importorskip("lightning")

    class Task(lightning.LightningModule):  # type: ignore[misc, name-defined] # an optional library
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            return self.network(batch[0]).square().mean()  # type: ignore[no-any-return]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.05)

    task = Task()
    pruner = prepare(task.network, (images(),), recipe(start=2, length=4))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images(0, 64)), batch_size=4)
    checkpoints = lightning.pytorch.callbacks.ModelCheckpoint(folder, every_n_train_steps=4, save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "accelerator": "cpu", "accumulate_grad_batches": 2}
    trainer = lightning.Trainer(max_steps=steps, callbacks=[lightning_callback(pruner), checkpoints], **quiet)
    trainer.fit(task, loader, ckpt_path=resume)
    return pruner


def test_a_run_of_lightning_is_resumed(tmp_path: Path) -> None:
    pruner = lightning_run(tmp_path / "whole", 8)
    first = next((tmp_path / "whole").glob("*step=4.ckpt"))
    other = lightning_run(tmp_path / "again", 8, str(first))
    assert pruner.steps == other.steps == 8
    assert zeros(pruner.finalize(), "0.weight") == zeros(other.finalize(), "0.weight") == 648

"""Runs of the real trainers, Hugging Face's and Lightning's: saved, resumed, averaged, and read again."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_avg_fn

import graphprune as gp
from graphprune.errors import PreconditionError, RecipeError
from graphprune.training import Pruner, prepare
from graphprune.training.callbacks import lightning_callback, trainer_callback
from tests.training.small import images, network, recipe, zeros

START: dict[str, Any] = {"start": 2, "length": 4, "scope": "global", "min_kept": 0.05}
KINDS = ("BertForSequenceClassification", "BertForMaskedLM")  # the latter ties its weights


def bert(kind: str) -> Any:  # noqa: ANN401 - transformers ships no types
    import transformers

    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 16}
    config = transformers.BertConfig(num_hidden_layers=1, num_attention_heads=2, num_labels=3, **sizes)
    return getattr(transformers, kind)(config)


def sentence(index: int, kind: str) -> dict[str, torch.Tensor]:
    words = torch.randint(64, (8,), generator=torch.Generator().manual_seed(index))
    label = words if kind == "BertForMaskedLM" else words[0] % 3
    return {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": label}


def example() -> dict[str, torch.Tensor]:
    return {name: value[None] for name, value in sentence(0, "").items() if name != "labels"}


@functools.cache
def prepared_bert(kind: str) -> Pruner:
    return prepare(bert(kind), (), recipe(**START), example_kwargs=example())


def hugging_face_run(folder: Path, kind: str, resume: Path | None = None, **keys: Any) -> Pruner:  # noqa: ANN401
    """Eight steps, with a checkpoint after the fourth; the masks begin after the second."""
    import transformers

    pruner = copy.deepcopy(prepared_bert(kind))
    sentences: Any = [sentence(index, kind) for index in range(32)]
    given: dict[str, Any] = {"max_steps": 8, "save_steps": 4, "per_device_train_batch_size": 4, **keys}
    quiet: dict[str, Any] = {"disable_tqdm": True, "report_to": [], "use_cpu": True}
    arguments = transformers.TrainingArguments(str(folder), seed=0, learning_rate=1e-2, **given, **quiet)
    data = {"train_dataset": sentences, "eval_dataset": sentences[:4]}
    trainer = transformers.Trainer(pruner.module, arguments, callbacks=[trainer_callback(pruner)], **data)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return pruner


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_hugging_faces_trainer_is_resumed(tmp_path: Path, kind: str) -> None:
    pruner = hugging_face_run(tmp_path / "whole", kind)
    saved = safetensors.torch.load_file(tmp_path / "whole" / "checkpoint-4" / "model.safetensors")
    assert sum(name.endswith("schedule") for name in saved) == len(pruner.sites)
    other = hugging_face_run(tmp_path / "again", kind, tmp_path / "whole" / "checkpoint-4")
    assert pruner.steps == other.steps == 8
    whole, again = pruner.finalize(), other.finalize()
    assert whole.state_dict().keys() == again.state_dict().keys() == bert(kind).state_dict().keys()
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name)), name


def test_what_hugging_faces_trainer_trained_is_saved_and_read(tmp_path: Path) -> None:
    pruner = hugging_face_run(tmp_path, KINDS[0], save_strategy="no")
    planned = {mask.name: mask.budget for mask in pruner.masks}
    finished: Any = pruner.finalize()
    counts = {name: round(budget * finished.get_parameter(name).numel()) for name, budget in planned.items()}
    finished.save_pretrained(tmp_path)
    read = type(finished).from_pretrained(tmp_path)
    assert {name: zeros(read, name) for name in planned} == counts
    assert set(counts) <= set(gp.from_torch(read, (), example()).graph.initializers)


def test_a_best_model_of_before_the_end_is_not_finalized(tmp_path: Path) -> None:
    best: dict[str, Any] = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 4}
    first: dict[str, Any] = {"metric_for_best_model": "loss", "greater_is_better": True}  # it falls
    pruner = hugging_face_run(tmp_path, KINDS[1], **best, **first)
    with pytest.raises(PreconditionError, match=r"is not where the pruner is: an earlier checkpoint.*\[GP634\]"):
        pruner.finalize()


def lightning_run(folder: Path, resume: str | None = None, average: object = None, **keys: Any) -> Pruner:  # noqa: ANN401
    """Eight steps of two batches each, with a checkpoint after the fourth; the masks begin after the second."""
    import lightning

    class Task(lightning.LightningModule):  # type: ignore[misc] # lightning ships no types
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            return self.network(batch[0]).square().mean()  # type: ignore[no-any-return]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.05)

    task = Task()
    pruner = prepare(task.network, (images(),), recipe(**START | keys))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images(0, 64)), batch_size=4)
    checkpoints = lightning.pytorch.callbacks.ModelCheckpoint(folder, every_n_train_steps=4, save_top_k=-1)
    callbacks = [lightning_callback(pruner), checkpoints, *([average] if average else [])]
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_steps=8, accumulate_grad_batches=2, callbacks=callbacks, **quiet)
    trainer.fit(task, loader, ckpt_path=resume)
    return pruner


def checkpoint_of(folder: Path) -> str:
    return str(next(folder.glob("*step=4.ckpt")))


def as_planned(pruner: Pruner, module: nn.Module) -> bool:
    """Whether each weight has the zeros that it was given when the ramp started."""
    budgets = pruner.state_dict()["budgets"]
    found = {name: zeros(module, name) / module.get_parameter(name).numel() for name in budgets}
    return found == pytest.approx(budgets) and budgets["0.weight"] != pytest.approx(budgets["5.weight"])


def test_a_run_of_lightning_is_resumed(tmp_path: Path) -> None:
    pruner = lightning_run(tmp_path / "whole")
    other = lightning_run(tmp_path / "again", checkpoint_of(tmp_path / "whole"))
    assert pruner.steps == 8
    assert pruner.state_dict() == other.state_dict()
    assert as_planned(pruner, pruner.finalize())
    assert as_planned(other, other.finalize())
    with pytest.raises(RecipeError, match=r"sparsity is 0.75 there, 0.5 here"):
        lightning_run(tmp_path / "other", checkpoint_of(tmp_path / "whole"), sparsity=0.5)


def averaging(*, buffers: bool) -> object:
    from lightning.pytorch.callbacks import WeightAveraging

    made: object = WeightAveraging(use_buffers=buffers, avg_fn=get_ema_avg_fn(0.5))  # type: ignore[no-untyped-call]
    return made


def test_lightnings_average_of_weights_is_resumed_and_finalized(tmp_path: Path) -> None:
    pruner = lightning_run(tmp_path / "whole", average=averaging(buffers=False))
    other = lightning_run(tmp_path / "again", checkpoint_of(tmp_path / "whole"), averaging(buffers=False))
    assert other.state_dict() == pruner.state_dict()
    assert as_planned(pruner, pruner.finalize())
    assert as_planned(other, other.finalize())


@pytest.mark.parametrize("method", ["pdp", "one-shot"])
def test_an_average_of_buffers_too_is_finalized_only_by_force(tmp_path: Path, method: str) -> None:
    pruner = lightning_run(tmp_path, average=averaging(buffers=True), training={"method": method})
    with pytest.raises(PreconditionError, match=r"an average that takes buffers too.*\[GP634\]"):
        pruner.finalize()
    assert as_planned(pruner, pruner.finalize(force=True))

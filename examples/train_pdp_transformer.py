"""PDP on a transformer, taught by its dense self: 0.95 of the loss is distillation, 0.05 the task (arXiv 2305.11203).

python examples/train_pdp_transformer.py [--folder FOLDER] [--steps 150]

A small BERT learns which of two words comes first in a sentence of random ones; then its encoder is pruned to 80%
zeros. Needs `transformers`. Writes sparse.onnx to FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import graphprune as gp
from graphprune.training import Schedule, TrainingSettings, prepare

LENGTH, WORDS, FIRST, SECOND = 16, 100, 1, 2


class Classifier(nn.Module):
    """BERT with one linear layer behind its first token: token ids [B, LENGTH] to scores [B, 2]."""

    def __init__(self) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        config = BertConfig(
            vocab_size=WORDS,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=LENGTH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        scores: torch.Tensor = self.classifier(self.bert(ids).last_hidden_state[:, 0])
        return scores


def sentences(count: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of random words with both marked ones in each, and whether FIRST comes first."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        ids = torch.randint(3, WORDS, (64, LENGTH), generator=generator)
        places = torch.rand(64, LENGTH - 1, generator=generator).argsort(1)[:, :2] + 1
        rows = torch.arange(64)
        ids[rows, places[:, 0]], ids[rows, places[:, 1]] = FIRST, SECOND
        yield ids, (places[:, 0] < places[:, 1]).long()


def accuracy(module: nn.Module) -> float:
    """The share of right answers on sentences that are not trained on."""
    with torch.no_grad():
        right = [int((module(ids).argmax(1) == labels).sum()) for ids, labels in sentences(8, 99)]
    return sum(right) / (8 * 64)


def main() -> None:
    """Train the dense network, then its masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    torch.manual_seed(0)

    teacher = Classifier()
    optimizer = torch.optim.AdamW(teacher.parameters(), 2e-3)
    for ids, labels in sentences(options.steps, 0):
        optimizer.zero_grad()
        functional.cross_entropy(teacher(ids), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    print(f"dense: {accuracy(teacher):.1%}")

    student = Classifier()
    student.load_state_dict(teacher.state_dict())
    example = torch.zeros(1, LENGTH, dtype=torch.int64)
    settings = TrainingSettings(schedule=Schedule(length=round(0.7 * options.steps)))
    recipe = gp.Recipe(sparsity=0.8, scope="global", ignore=("classifier.weight",), training=settings)
    pruner = prepare(student, (example,), recipe)
    optimizer = torch.optim.AdamW(student.parameters(), 1e-3)
    for ids, labels in sentences(options.steps, 1):
        optimizer.zero_grad()
        scores = student(ids)
        taught = functional.kl_div(scores.log_softmax(1), teacher(ids).detach().softmax(1), reduction="batchmean")
        loss = 0.95 * taught + 0.05 * functional.cross_entropy(scores, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pruner.step()
    print(f"soft: {accuracy(student):.1%}")
    finished = pruner.finalize()
    print(f"hardened: {accuracy(finished):.1%} at 80% zeros of the encoder")
    sparse = gp.from_torch(finished, (example,))
    gp.save(sparse, options.folder / "sparse.onnx")
    gp.verify(sparse, gp.compile(sparse)).raise_for_failure()
    print("compiled, and equal to ONNX Runtime")


if __name__ == "__main__":
    main()

"""Train the masks of an ONNX file, without the module it was exported from, and compile the result.

python examples/train_pdp_from_onnx.py [--model MODEL.onnx] [--folder FOLDER] [--sparsity 0.9] [--steps 120]

The dense file teaches its sparse self: the loss is the distance of their outputs on inputs that you have (here: random
ones), so no labels are needed. Without --model, a small ResNet is made. Writes dense.onnx, sparse.onnx and sparse.so to
FOLDER, and prints how far from the dense outputs one-shot pruning and trained masks end up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import graphprune as gp
from graphprune.testing import models
from graphprune.training import Schedule, TrainingSettings, prepare
from graphprune.verification.feeds import random_feed


def main() -> None:
    """Load, train, harden, export, compile, verify."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    torch.manual_seed(0)

    dense = gp.load(options.model) if options.model else models.build("resnet_tiny")
    gp.save(dense, options.folder / "dense.onnx")
    teacher, student = gp.to_torch(dense), gp.to_torch(dense)
    batches = [tuple(map(torch.from_numpy, random_feed(dense, seed).values())) for seed in range(16)]

    schedule = Schedule(length=round(0.7 * options.steps))
    settings = TrainingSettings(schedule=schedule)
    recipe = gp.Recipe(sparsity=options.sparsity, training=settings)
    pruner = prepare(student, batches[0], recipe)
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / options.steps)
        inputs = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = functional.mse_loss(student(*inputs), teacher(*inputs).detach())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pruner.step()
        if step % 20 == 0:
            print(f"step {step}: {pruner.ratio:.0%} of the way, loss {loss.item():.5f}")
    print(pruner.report())

    sparse = gp.from_torch(pruner.finalize(), batches[0])
    gp.save(sparse, options.folder / "sparse.onnx")
    session = gp.compile(sparse)
    session.save(options.folder / "sparse.so")
    gp.verify(sparse, session).raise_for_failure()
    one_shot = gp.Pipeline([gp.passes.PruneWeights(gp.plan(dense, recipe))]).run(dense).model
    held_out = tuple(map(torch.from_numpy, random_feed(dense, 99).values()))
    distances = {
        name: distance(gp.to_torch(model), teacher, held_out)
        for name, model in (("one-shot", one_shot), ("trained", sparse))
    }
    print(", ".join(f"{name} {value:.1%}" for name, value in distances.items()), "from the dense outputs")
    print(f"sparse.so computes what sparse.onnx computes, at {options.sparsity:.0%} zeros")


def distance(module: torch.nn.Module, teacher: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> float:
    """The error of the outputs, relative to how much they vary."""
    with torch.no_grad():
        found, expected = np.asarray(module(*inputs)), np.asarray(teacher(*inputs))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected - expected.mean()))


if __name__ == "__main__":
    main()

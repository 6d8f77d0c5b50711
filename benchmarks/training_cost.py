"""What a training step costs with soft masks: dense, PDP with exact thresholds, and PDP as it is written with sorting.

    python benchmarks/training_cost.py [--model resnet50|bert] [--batch 8] [--runs 5] [--threads 2] [--json OUT.json]

The three networks step in turn in one run, in a changing order; medians, and ratios over the dense step. Also the time
of all masks by themselves, forward and backward. Networks have random weights; they need the extras `train` and `dev`.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import graphprune as gp
from graphprune.measuring.environment import read_environment
from graphprune.training import Pruner, TrainingSettings, prepare

SPARSITY = 0.9
TAU = 1e-4


class Network(nn.Module):
    """A classifier of images or of token ids: one tensor in, logits out."""

    def __init__(self, name: str) -> None:
        import transformers as tf

        super().__init__()
        torch.manual_seed(0)
        images = name == "resnet50"
        self.inner = (
            tf.ResNetForImageClassification(tf.ResNetConfig(num_labels=1000))
            if images
            else tf.BertForSequenceClassification(tf.BertConfig(attn_implementation="eager"))
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.inner(inputs).logits
        return logits


def batch_of(name: str, size: int) -> torch.Tensor:
    """Random images [size, 3, 224, 224], or token ids [size, 128]."""
    return torch.randn(size, 3, 224, 224) if name == "resnet50" else torch.randint(1000, (size, 128))


def sorted_mask(weight: torch.Tensor) -> torch.Tensor:
    """The masked weight by the paper's own formulation: a sort, and a softmax over two stacked tensors."""
    ordered = weight.detach().abs().flatten().sort().values
    pruned = round(SPARSITY * weight.numel())
    limit = 0.5 * (ordered[pruned - 1] + ordered[pruned])
    stacked = torch.stack([limit.square().expand_as(weight), weight.square()]) / TAU
    return torch.softmax(stacked, 0)[1] * weight


def with_masks(module: Network, inputs: torch.Tensor, masked: Callable[[torch.Tensor], torch.Tensor] | None) -> Pruner:
    """Put masks on a network; `masked` instead of our own."""
    recipe = gp.Recipe(sparsity=SPARSITY, training=TrainingSettings(temperature=str(TAU)))
    pruner = prepare(module.eval(), (inputs[:1],), recipe)
    module.train()
    if masked is not None:
        for site in pruner.sites:
            site.mask.masked = masked  # type: ignore[method-assign, assignment]
    return pruner


def step_of(module: nn.Module, inputs: torch.Tensor) -> Callable[[], None]:
    """One step: forward, backward and the optimizer."""
    optimizer = torch.optim.SGD(module.parameters(), 1e-4, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        logits = module(inputs)
        functional.cross_entropy(logits, torch.zeros(len(inputs), dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def mask_step_of(pruner: Pruner) -> Callable[[], None]:
    """All masks by themselves, forward and backward."""
    weights = [(site.mask, site.parameter) for site in pruner.sites]
    gradients = [torch.ones_like(parameter) for _, parameter in weights]

    def step() -> None:
        for (mask, parameter), gradient in zip(weights, gradients, strict=True):
            masked = mask.masked(parameter)
            torch.autograd.grad(masked, parameter, gradient)

    return step


def medians(steps: dict[str, Callable[[], None]], runs: int) -> dict[str, float]:
    """Return the median seconds of each, after one step that is not counted.

    They take turns in an order that changes, for a step also pays for the memory that the one before gave back.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    order, shuffle = list(steps), np.random.default_rng(0).shuffle
    for run in range(runs + 1):
        for name in order:
            start = time.perf_counter()
            steps[name]()
            if run:
                seconds[name].append(time.perf_counter() - start)
        shuffle(order)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("resnet50", "bert"), default="resnet50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    inputs = batch_of(options.model, options.batch)
    dense = Network(options.model).train()
    ours, sorting = copy.deepcopy(dense), copy.deepcopy(dense)
    pruner = with_masks(ours, inputs, None)
    with_masks(sorting, inputs, sorted_mask)
    steps = {name: step_of(module, inputs) for name, module in (("dense", dense), ("pdp", ours), ("sorting", sorting))}
    found = medians({**steps, "masks alone": mask_step_of(pruner)}, options.runs)
    size = sum(site.parameter.numel() for site in pruner.sites)
    environment = asdict(read_environment()) | {"torch": torch.__version__, "threads": options.threads}
    print(f"{options.model}, batch {options.batch}, {size / 1e6:.1f} million masked weights, {environment}")
    for name, seconds in found.items():
        print(f"{name:12} {seconds:7.3f} s  {seconds / found['dense']:5.2f}x")
    if options.json:
        options.json.write_text(json.dumps({**vars(options), "json": None, "seconds": found, **environment}, indent=1))


if __name__ == "__main__":
    main()

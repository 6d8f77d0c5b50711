"""What a pruner says about its layers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch

from graphprune.diagnostics import Skip
from graphprune.training.methods.base import WeightMask
from graphprune.training.methods.channels import ChannelMask
from graphprune.training.sites import Site

DECIDED = 0.01
"""A mask this close to 0 or 1 is decided."""


@dataclass(frozen=True)
class LayerReport:
    """One weight under its mask, or one group of channels.

    Attributes:
        name: Of the weight or group.
        size: Its number of elements or channels.
        sparsity: The share of zeros it will have.
        ratio: How much of that is asked for now, in [0, 1].
        undecided: The share of its elements whose mask lies in (0.01, 0.99).
        gap: How far hardening at full budget moves it: the L2 distance of the masked and the hardened weight, relative
            to the latter; of a group, of the root mean squares of its channels.
        misplaced: The share of its elements that may lie on the wrong side of an estimated threshold, at most.
    """

    name: str
    size: int
    sparsity: float
    ratio: float
    undecided: float
    gap: float
    misplaced: float = 0.0


@dataclass(frozen=True)
class PruningReport:
    """All layers after `step` calls of `Pruner.step`.

    Attributes:
        step: See above.
        layers: Those under masks.
        left: The weights that stay dense, and why.
    """

    step: int
    layers: tuple[LayerReport, ...]
    left: tuple[Skip, ...] = ()

    @property
    def sparsity(self) -> float:
        """The share of zeros of all layers together, at the end."""
        return sum(layer.size * layer.sparsity for layer in self.layers) / sum(layer.size for layer in self.layers)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        rows = [("weight", "size", "sparsity", "ratio", "undecided", "gap", "misplaced")]
        rows += [
            (
                row.name,
                str(row.size),
                f"{row.sparsity:.1%}",
                f"{row.ratio:.2f}",
                f"{row.undecided:.1%}",
                f"{row.gap:.3f}",
                f"{row.misplaced:.1%}",
            )
            for row in self.layers
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([*lines, *(f"left alone: {skip}" for skip in self.left)])


def make_report(
    step: int, sites: Iterable[Site], groups: Iterable[ChannelMask], left: tuple[Skip, ...]
) -> PruningReport:
    """Return the report on those layers."""
    weights = [(site, site.mask) for site in sites]
    rows = [_layer(site.weight(), mask) for site, mask in weights if isinstance(mask, WeightMask)]
    return PruningReport(step, (*rows, *(_group(mask) for mask in groups)), left)


@torch.no_grad()
def _layer(weight: torch.Tensor, mask: WeightMask) -> LayerReport:
    share = mask.mask(weight) if mask.ratio > 0 else torch.ones_like(weight)
    gap = _gap(mask(weight), mask.hardened(weight))
    size, misplaced = weight.numel(), mask.misplaced(weight.numel())
    return LayerReport(mask.name, size, mask.budget, mask.ratio, _undecided(share), gap, misplaced)


@torch.no_grad()
def _group(mask: ChannelMask) -> LayerReport:
    scores = mask.scores()
    share = mask() if mask.ratio > 0 else torch.ones_like(scores)
    gap = _gap(share * scores, mask.keep() * scores)
    return LayerReport(mask.name, mask.size, mask.budget, mask.ratio, _undecided(share), gap)


def _undecided(share: torch.Tensor) -> float:
    return ((share > DECIDED) & (share < 1 - DECIDED)).double().mean().item()


def _gap(soft: torch.Tensor, hard: torch.Tensor) -> float:
    distance = torch.dist(soft.float(), hard.float()) / hard.float().norm().clamp(min=torch.finfo(torch.float32).tiny)
    return float(distance)

"""What a pruner says about its layers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch

from graphprune.training.sites import Site

DECIDED = 0.01
"""A mask this close to 0 or 1 is decided."""


@dataclass(frozen=True)
class LayerReport:
    """One weight under its mask.

    Attributes:
        name: Of the weight.
        size: Its number of elements.
        sparsity: The share of zeros it will have.
        ratio: How much of that is asked for now, in [0, 1].
        undecided: The share of its elements whose mask lies in (0.01, 0.99).
        gap: How far hardening at full budget moves it: the L2 distance of the masked and the hardened weight, relative
            to the latter.
    """

    name: str
    size: int
    sparsity: float
    ratio: float
    undecided: float
    gap: float


@dataclass(frozen=True)
class PruningReport:
    """All layers after `step` calls of `Pruner.step`."""

    step: int
    layers: tuple[LayerReport, ...]

    @property
    def sparsity(self) -> float:
        """The share of zeros of all layers together, at the end."""
        return sum(layer.size * layer.sparsity for layer in self.layers) / sum(layer.size for layer in self.layers)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        rows = [("weight", "size", "sparsity", "ratio", "undecided", "gap")]
        rows += [
            (
                row.name,
                str(row.size),
                f"{row.sparsity:.1%}",
                f"{row.ratio:.2f}",
                f"{row.undecided:.1%}",
                f"{row.gap:.3f}",
            )
            for row in self.layers
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )


def make_report(step: int, sites: Iterable[Site]) -> PruningReport:
    """Return the report on those layers."""
    return PruningReport(step, tuple(_layer(site) for site in sites))


@torch.no_grad()
def _layer(site: Site) -> LayerReport:
    weight, mask = site.weight(), site.mask
    hard = mask.hardened(weight).float()
    soft = mask(weight).float()
    share = mask.mask(weight) if mask.ratio > 0 else torch.ones_like(weight)
    undecided = ((share > DECIDED) & (share < 1 - DECIDED)).double().mean().item()
    gap = ((soft - hard).norm() / hard.norm().clamp(min=torch.finfo(torch.float32).tiny)).item()
    return LayerReport(site.name, weight.numel(), mask.budget, mask.ratio, undecided, gap)

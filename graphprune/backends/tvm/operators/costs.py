"""What kernels take on a processor, for the estimate of which one is the fastest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphprune.backends.tvm.kernels.builder import Machine


@dataclass(frozen=True)
class Costs:
    """Times over that of a multiply-add in our dense kernels (measured, one thread).

    Attributes:
        rows: Rows summed together -> an element of them.
        few: The same for a few positions, where the bytes of the weight decide.
        narrow: The same for one position, where values take 16 bits and those of the dense kernel 32.
        near: The same for a few positions, where the weights of the whole model stay in the L2 cache between runs.
        row: To begin and end a row there.
        transform: To transform an element for Winograd's convolution and back.
        weight: To read an element of a dense weight, beside its multiply-adds.
    """

    rows: Mapping[int, float]
    few: Mapping[int, float]
    narrow: Mapping[int, float]
    near: Mapping[int, float]
    row: float
    transform: float
    weight: float


_NEAR = {1: 6.0}
_ROW = 290.0

SINGLE_ISSUE = Costs(
    rows={1: 1.8, 2: 1.25, 4: 1.11}, few={1: 2.2}, narrow={1: 1.9}, near=_NEAR, row=_ROW, transform=13, weight=0
)
"""Of processors where arithmetic bounds dense kernels."""

DUAL_ISSUE = Costs(
    rows={1: 1.5, 2: 1.2, 4: 1.05}, few={1: 1.6}, narrow={1: 1.4}, near=_NEAR, row=_ROW, transform=24, weight=25
)
"""Of wide ones, whose multiply-adds wait for bytes: dense kernels are farther from the peak, and weights count."""

SHORT_VECTORS = replace(SINGLE_ISSUE, rows=DUAL_ISSUE.rows, transform=DUAL_ISSUE.transform)
"""Of those whose vectors have 256 bits."""


def costs_on(machine: Machine) -> Costs:
    """The costs on this processor."""
    if machine.has_short_vectors:
        return SHORT_VECTORS
    return DUAL_ISSUE if machine.is_dual_issue else SINGLE_ISSUE

"""The sizes of a kernel that maps planes to planes, and the memory layout of its input."""

from __future__ import annotations

from dataclasses import dataclass

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.backends.tvm.kernels.tiling import Tiling


@dataclass(frozen=True)
class Planes:
    """The memory layout of the input planes.

    Channel `c` of image `n` starts at `offset + n * image_stride + c * channel_stride`. `position_stride`
    separates neighbouring positions; `size` is the whole buffer. A tile reads `halo` positions beyond its span, in each
    of `phases` parts of a channel.
    """

    size: int
    channels: int
    image_stride: int
    channel_stride: int
    position_stride: int = 1
    offset: int = 0
    phases: int = 1
    halo: int = 0


@dataclass(frozen=True)
class PlaneProblem:
    """The sizes of a plane-to-plane kernel, its input and its output tiles."""

    machine: Machine
    images: int
    outputs: int
    positions: int
    planes: Planes
    tiling: Tiling
    elements: Elements = FLOAT32
    copy_tile: bool = False
    """Copy each input tile into aligned scratch memory first."""

    @property
    def parts(self) -> int:
        """How many parts the output channels are split into for threads; more than one where there are few tiles."""
        threads = self.machine.threads
        even = (parts for parts in range(1, threads) if self.tiling.is_even(threads, self.images, parts))
        return next(even, threads)


def tile_stride(problem: PlaneProblem) -> int:
    """Distance between channels in the copied input tile, in elements: whole vectors."""
    width = problem.machine.lanes
    return -(-problem.tiling.span // width) * width


def channel_distance(problem: PlaneProblem) -> int:
    """Distance between input channels as the inner code sees them; offsets of weights are scaled by it."""
    return tile_stride(problem) if problem.copy_tile else problem.planes.channel_stride

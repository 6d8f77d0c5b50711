"""What `graphprune bench --profile` shows: where the time of compiled code goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphprune.cli.output import print_line, print_table, progress

if TYPE_CHECKING:
    import numpy as np

    from graphprune.measuring.profiler import KernelTime, Profile
    from graphprune_runtime.interface import Session


def profile_sides(
    sides: dict[str, Session], feed: dict[str, np.ndarray], threads: int, runs: int
) -> dict[str, Profile]:
    """The profiles of the sides that are compiled code."""
    from graphprune.measuring.profiler import profile
    from graphprune_runtime.session import CompiledSession

    profiles = {}
    for label, session in sides.items():
        if isinstance(session, CompiledSession):
            with progress(f"profiling {label}"):
                profiles[label] = profile(session, feed, threads, runs)
    return profiles


def draw(picture: Path, profiles: dict[str, Profile]) -> None:
    """Write the picture of the one profile."""
    from graphprune.cli.flame import flame_svg
    from graphprune.files import atomic_write

    ((label, found),) = profiles.items()
    with atomic_write(picture) as file:
        file.write(flame_svg(label, found).encode())


def print_profile(label: str, profile: Profile) -> None:
    """Print the sums of each kind of kernel, and each kernel, the longest first."""
    kinds = profile.by_kernel()
    columns = ("kernel", ">calls", *COSTS)
    title = f"{label}: {profile.run_ms:.3f} ms, of which {profile.kernels_ms:.3f} ms in kernels"
    print_table(
        title, columns, ((total.kernel, calls, *_costs(total, profile, kinds[0][1].ms)) for calls, total in kinds)
    )
    longest = sorted(profile.kernels, key=lambda kernel: -kernel.ms)
    rows = (
        (kernel.node, kernel.operators, kernel.kernel, *_costs(kernel, profile, longest[0].ms)) for kernel in longest
    )
    print_table("kernels, the longest first", ("node", "operators", "kernel", *COSTS), rows)
    roof = profile.roofline
    second, last, memory = (f"{level.gbytes:.0f}" for level in roof.levels)
    caches = f"{second} GB/s from the second cache, {last} from the last one, {memory} from memory"
    print_line(f"limit: {roof.gflops:.0f} GFLOP/s, {roof.gops:.0f} GOP/s of bytes, {caches}")


COSTS = (">ms", ">of run", ">GOP/s", ">MB", ">GB/s", ">of limit", "")
"""Columns of what a kernel costs; the last is a bar."""

BAR = 20


def _costs(kernel: KernelTime, profile: Profile, most_ms: float) -> tuple[str, ...]:
    return (
        f"{kernel.ms:.3f}",
        f"{kernel.ms / profile.kernels_ms:.1%}",
        f"{kernel.gflops:.1f}" if kernel.operations else "",
        f"{kernel.nbytes / 1e6:.2f}",
        f"{kernel.gbytes:.1f}",
        f"{kernel.share_of_limit:.0%}",
        "█" * round(BAR * kernel.ms / most_ms),
    )

"""The time of each kernel of a compiled model, beside the limit of the machine (roofline)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphprune.errors import InputError
from graphprune.measuring.environment import Environment, pinned, read_environment

if TYPE_CHECKING:
    from graphprune.backends.tvm.building.roofline import Roofline
    from graphprune_runtime.description import KernelCall
    from graphprune_runtime.interface import Session


@dataclass(frozen=True)
class KernelTime:
    """One kernel of a run, or all of one kind.

    Attributes:
        node: The node that it was made for.
        operators: That node's operator and those fused behind it, as `Conv+Add+Relu`.
        kernel: What it does.
        ms: Median time.
        operations: Operations of products, two a multiply-add, zeros of sparse kernels left out; 0 for others.
        nbytes: Bytes of the buffers that it reads and writes.
        limit_ms: The time below which nothing of so many operations and bytes can be on this machine.
    """

    node: str
    operators: str
    kernel: str
    ms: float
    operations: int
    nbytes: int
    limit_ms: float

    @property
    def gflops(self) -> float:
        """10^9 operations a second."""
        return self.operations / self.ms / 1e6

    @property
    def gbytes(self) -> float:
        """10^9 bytes a second."""
        return self.nbytes / self.ms / 1e6

    @property
    def share_of_limit(self) -> float:
        """The least possible time over the time taken."""
        return self.limit_ms / self.ms


class TimedCall(NamedTuple):
    """A call of a kernel, which is made so many times a run, and the median milliseconds of all of these."""

    call: KernelCall
    times: int
    ms: float


@dataclass(frozen=True)
class Profile:
    """The kernels of a run in order, the median time of whole runs, and the machine's limits."""

    kernels: tuple[KernelTime, ...]
    run_ms: float
    runs: int
    threads: int
    roofline: Roofline
    environment: Environment

    @property
    def kernels_ms(self) -> float:
        """The time inside kernels; the rest of a run goes into calling them, and into memory for their results.

        Samples of a batch are added up, also where several threads run them at the same time.
        """
        return sum(kernel.ms for kernel in self.kernels)

    def by_kernel(self) -> list[tuple[int, KernelTime]]:
        """How many calls there are of each kind of kernel, and their sums, the longest first."""
        kinds: dict[str, list[KernelTime]] = defaultdict(list)
        for kernel in self.kernels:
            kinds[kernel.kernel].append(kernel)
        sums = [(len(calls), _sum(name, calls)) for name, calls in kinds.items()]
        return sorted(sums, key=lambda each: -each[1].ms)

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain data, ready for JSON."""
        data = asdict(self)
        for level in data["roofline"]["levels"]:
            level["capacity"] = int(level["capacity"]) if level["capacity"] < float("inf") else None
        return data


def profile(
    session: Session,
    feed: Mapping[str, np.ndarray],
    threads: int = 1,
    runs: int = 20,
    *,
    roofline: Roofline | None = None,
    on_run: Callable[[int], None] | None = None,
) -> Profile:
    """Time each kernel of a compiled model.

    Args:
        session: What `compile` or `load_session` returned, for `threads` threads.
        feed: Its inputs.
        threads: Processors to stay on.
        runs: Timed runs, of the whole and of its kernels.
        roofline: The limits of the machine; they are measured where they are not given.
        on_run: Called with the number of runs done after each run.

    Raises:
        InputError: there is no run to time, the session is not compiled code, or it does not take `feed`.
    """
    from graphprune.backends.tvm.building.roofline import measure_roofline
    from graphprune.targets.target import resolve_target

    with pinned(threads):
        run_ms, calls = time_calls(session, feed, runs, on_run)
        limits = roofline or measure_roofline(resolve_target("native"), threads)
    kernels = tuple(_kernel_time(each, limits) for each in calls)
    return Profile(kernels, run_ms, runs, threads, limits, read_environment())


WARM_UPS = 3


def _seconds(session: Session, feed: Mapping[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - start


def time_calls(
    session: Session, feed: Mapping[str, np.ndarray], runs: int = 20, on_run: Callable[[int], None] | None = None
) -> tuple[float, list[TimedCall]]:
    """Return the median milliseconds of whole runs, and of each call of a kernel; best inside `pinned(threads)`.

    Raises:
        InputError: As `profile`.
    """
    from graphprune_runtime.session import CompiledSession

    if not isinstance(session, CompiledSession):
        raise InputError(f"a {type(session).__name__} cannot be profiled, expected compiled code", code="GP574")
    if runs < 1:
        raise InputError(f"runs is {runs}, expected at least 1", code="GP572")
    whole = [_seconds(session, feed) for _ in range(WARM_UPS + runs)][WARM_UPS:]
    seconds = session.time_kernels(feed, WARM_UPS + runs, on_run)[WARM_UPS:]
    program, times = session.choose(feed)
    medians: list[float] = np.median(seconds, axis=0).tolist()
    calls = [TimedCall(call, times, 1e3 * each) for call, each in zip(program.calls, medians, strict=True)]
    return 1e3 * float(np.median(whole)), calls


def _kernel_time(timed: TimedCall, roofline: Roofline) -> KernelTime:
    call, times = timed.call, timed.times
    return KernelTime(
        call.node,
        call.operators,
        call.kernel,
        timed.ms,
        times * call.operations,
        times * call.nbytes,
        1e3 * times * _least_seconds(call, roofline),
    )


def _least_seconds(call: KernelCall, roofline: Roofline) -> float:
    level = roofline.level(call.nbytes)
    return roofline.least_seconds(call.kernel, call.operations, call.nbytes, level)


def _sum(name: str, calls: Sequence[KernelTime]) -> KernelTime:
    ms, limit = sum(call.ms for call in calls), sum(call.limit_ms for call in calls)
    operations, nbytes = sum(call.operations for call in calls), sum(call.nbytes for call in calls)
    return KernelTime("", "", name, ms, operations, nbytes, limit)

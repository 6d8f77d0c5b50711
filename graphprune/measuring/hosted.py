"""How much of a compiled model's time ONNX Runtime takes, for the nodes that have no kernel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphprune_runtime.description import HOST
from graphprune_runtime.session import CompiledSession

RUNS = 10
_WARM_UPS = 3


def hosted_share(session: CompiledSession, feed: Mapping[str, np.ndarray]) -> float:
    """The share of hosted pieces in the time of all kernels, by the medians of some runs.

    Raises:
        InputError: The session does not take `feed`.
        BackendError: The run fails on it.
    """
    seconds = np.median(session.time_kernels(feed, _WARM_UPS + RUNS)[_WARM_UPS:], axis=0)
    program, _ = session.choose(feed)
    is_hosted = np.array([call.kernel == HOST for call in program.calls])
    return float(seconds[is_hosted].sum() / seconds.sum())

"""The models whose runs cost nothing but the call."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from benchmarks.overhead import FEED, chain
from graphprune_runtime.session import CompiledSession


@pytest.mark.parametrize("kernels", [1, 5])
def test_each_step_is_a_kernel(kernels: int) -> None:
    session = gp.compile(chain(kernels))
    assert isinstance(session, CompiledSession)
    assert len(session.calls) == kernels
    np.testing.assert_array_equal(session.run(None, FEED)[0], [1, kernels + 2])

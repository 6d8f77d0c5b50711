"""A small model with outputs that are computed, copied and seen otherwise, which the tests of sessions run."""

from __future__ import annotations

import numpy as np

from graphprune_runtime import CompiledSession
from tests.backends.tvm.graphs import compile_, parse, pruned

TEXT = "g (float[1,16,20,20] x) => (float[1,24,20,20] y, float[1,16,20,20] same, float[16,400] flat) {"
BODY = "c = Conv <pads = [1,1,1,1]> (x, w) y = {}(c) same = Identity (x) flat = Reshape (x, to) }}"
X = np.random.default_rng(0).standard_normal((1, 16, 20, 20)).astype(np.float32)


def make(function: str = "Relu", threads: int = 2) -> CompiledSession:
    constants = {"w": pruned(24, 16, 3, 3), "to": np.array([16, 400])}
    return compile_(parse(TEXT + BODY.format(function), constants), threads=threads)

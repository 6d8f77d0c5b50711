"""A small network whose layers matter differently, and samples for it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

import graphprune as gp
from graphprune.calibration.ranges import Feed
from graphprune.planning.pruning_plan import PruningPlan
from tests.backends.tvm.graphs import parse

TEXT = """g (float[1,16] x) => (float[1,8] y) {
    [one] a = Gemm<transB=1>(x,u,b) c = Relu(a) [two] d = MatMul(c,v) e = Tanh(d) s = Constant<value=float {0.05}>()
    f = Mul(e,s) g = Add(c,f) [three] y = MatMul(g,w) }"""


def network() -> ir.Model:
    """Return it: layer `two` is a small part of what `three` reads."""
    return parse(TEXT, {"u": (24, 16), "b": (24,), "v": (24, 24), "w": (24, 8)})


def feeds(count: int = 24) -> list[Feed]:
    """Return samples, seeded."""
    rng = np.random.default_rng(1)
    mixed = rng.standard_normal((count, 16)) @ rng.standard_normal((16, 16)) + 0.5
    return [{"x": row[None].astype(np.float32)} for row in mixed]


def plan_of(model: ir.Model, **options: object) -> PruningPlan:
    """Return a plan of all its weights."""
    return gp.plan(
        model, gp.Recipe.model_validate({"sparsity": 0.5, "criterion": "wanda", "scope": "layer", **options})
    )

"""Write ONNX Runtime's own operators as operators of ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx
import onnx_ir as ir

from graphprune.diagnostics import Rewrite, Skip
from graphprune.graph.nodes import describe
from graphprune.passes.base import Equivalence, Pass, PassOutcome, refuse
from graphprune.passes.contrib.contrib import CannotRewriteError
from graphprune.passes.contrib.table import contrib_body, is_contrib
from graphprune.passes.schema_functions import expand_functions
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class ExpandContrib(Pass):
    """Replace what ONNX Runtime's optimiser and quantizers write (`com.microsoft`) by operators of ONNX.

    `compile` runs it, because only products that ONNX defines are packed. It is for pruning channels and for training
    too: behind operators that nobody knows, neither works. `Identity` nodes go as well. The rewrites are in
    `graphprune/passes/contrib`; nodes in subgraphs and functions stay.

    Before::

        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}> {
            y = com.microsoft.FusedGemm <activation = "Relu"> (x, w)
        }

    After::

        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}> {
            ["y.Gemm"] v0 = Gemm (x, w)
            ["y.Relu"] y = Relu (v0)
        }

    Refuses: GP155 an attribute, GP156 an input or output, or GP157 a value of one that the rewrite does not know,
        GP158 types or shapes that it needs are open.
    """

    name: ClassVar[str] = "expand-contrib"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED

    def apply(self, model: ir.Model) -> PassOutcome:
        """Rewrite as long as there is something: what a node gives may be known only when those before it are gone."""
        rewrites: dict[str, Rewrite] = {}
        skips: dict[str, Skip] = {}

        def body_of(_: ir.Model, node: ir.Node) -> onnx.FunctionProto | None:
            try:
                body = contrib_body(node)
            except CannotRewriteError as error:
                skips[describe(node)] = refuse(error.code, node, f"{describe(node)}: {error.why}")
                return None
            where = node.name or str(node.outputs[0].name)
            rewrites[where] = Rewrite("contrib", where, f"{node.op_type} became operators of ONNX")
            return body

        infer_shapes(model)
        while expand_functions(model, lambda node: not is_contrib(node), body_of):
            skips.clear()
        return PassOutcome(tuple(rewrites.values()), tuple(skips.values()))

"""The passes that every model goes through before it is pruned or compiled."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.passes.base import PassResult
from graphprune.passes.fold_batch_norm import FoldBatchNorm
from graphprune.passes.fold_constants import FoldConstants
from graphprune.passes.pipeline import Pipeline
from graphprune.passes.remove_identities import RemoveIdentities

NORMALIZE = Pipeline([FoldConstants(), RemoveIdentities(), FoldBatchNorm()])
"""Constants are folded first: the parameters of a normalisation, or a dropout's mode, may be computed."""


def normalize(model: ir.Model) -> PassResult:
    """Run `NORMALIZE` on `model`, which stays untouched.

    A model that is going to be trained must not go through this: folding a normalisation changes what the parameters of
    that name mean.

    Raises:
        GraphPruneError: As `run_pass`.
    """
    return NORMALIZE.run(model)

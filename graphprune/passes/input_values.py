"""What follows from inputs that no caller changes: constants, and which branches are taken."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from graphprune.passes.base import run_pass
from graphprune.passes.fix_input_values import FixInputValues
from graphprune.passes.fold_constants import FoldConstants
from graphprune.passes.inline_branches import InlineBranches
from graphprune.passes.pipeline import Pipeline

_DECIDE = Pipeline([FoldConstants(), InlineBranches()])


def with_input_values(model: ir.Model, values: Mapping[str, float]) -> ir.Model:
    """Return a model with these inputs fixed, what follows from them computed, and branches that they decide taken.

    Raises:
        InputError: As `FixInputValues`.
    """
    if not values:
        return model
    result = run_pass(FixInputValues(values=tuple(values.items())), model)
    while (step := _DECIDE.run(result.model)).changed:
        result = step
    return result.model

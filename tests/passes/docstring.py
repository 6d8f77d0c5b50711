"""The examples in a pass's docstring, as models."""

from __future__ import annotations

import inspect
import re
import textwrap

import onnx_ir as ir

from graphprune.packed.functions import define
from graphprune.passes.base import Pass
from graphprune.stages import Stage, set_stage

HEADER = '<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>\n'


def docstring_example(kind: type[Pass], label: str, stage: Stage = Stage.DENSE) -> ir.Model:
    """Return the model after the line that starts or ends with `label`; packed functions that it calls are added."""
    text = inspect.getdoc(kind) or ""
    found = re.search(rf"{label}[^\n]*::\n\n((?:    [^\n]*\n|\n)+)", text, re.IGNORECASE)
    assert found is not None, f"{kind.__name__} has no example '{label}'"
    model = ir.from_onnx_text(HEADER + textwrap.dedent(found.group(1)))
    calls = [node.op_type for node in model.graph if node.domain == "graphprune"]
    for name in calls:
        define(model, name)
    if not calls:
        del model.graph.opset_imports["graphprune"]
    if stage is not Stage.DENSE:
        set_stage(model, stage)
    return model

"""The example in a pass's docstring: `Run`, `Before` and `After`, as text that a test executes."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass

from graphprune.passes.base import Pass, parse_pass

_HEADER = '<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>\n'


@dataclass(frozen=True)
class Example:
    """A pass with a model before and after it, as ONNX text."""

    pass_: Pass
    before: str
    after: str


def docstring_example(kind: type[Pass]) -> Example:
    """Read the example of `kind`: indented ONNX text after `Before::` and `After::`.

    The pass is the one that a line `Run: text form` gives, else the one without options. A graph without a header gets
    one with opset 18.

    Raises:
        ValueError: The docstring has no such block.
    """
    text = inspect.cleandoc(kind.__doc__ or "")
    run = re.search(r"^Run: (.+)$", text, re.MULTILINE)
    pass_ = parse_pass(run.group(1) if run else kind.name)
    return Example(pass_, _block(kind, text, "Before"), _block(kind, text, "After"))


def _block(kind: type[Pass], text: str, title: str) -> str:
    found = re.search(rf"^{title}::\n\n((?: +.*\n|\n)+)", text + "\n", re.MULTILINE)
    if found is None:
        raise ValueError(f"the docstring of {kind.__name__} has no block '{title}::'")
    graph = textwrap.dedent(found.group(1)).strip()
    return graph if graph.startswith("<") else _HEADER + graph

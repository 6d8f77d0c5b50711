"""The example in a pass's docstring: `Run`, `Before`, `After`, `Reference`, as text that a test executes."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass

from graphprune.graph.functions import DOMAIN
from graphprune.masked import functions as masked
from graphprune.packed import functions as packed
from graphprune.packed.forms import FUNCTIONS
from graphprune.passes.base import Equivalence, Pass
from graphprune.passes.registry import parse_pass
from graphprune.stages.stage import STAGE_KEY, Stage

_OPSET = 18


@dataclass(frozen=True)
class Example:
    """A pass with a model before and after it, as ONNX text.

    Attributes:
        pass_: The pass.
        before: What it is given.
        after: What it makes of it.
        reference: What a `MASKED` pass is compared with.
    """

    pass_: Pass
    before: str
    after: str
    reference: str | None = None


def docstring_example(kind: type[Pass]) -> Example:
    """Read the example of `kind`: indented ONNX text after `Before::`, `After::` and, if it masks, `Reference::`.

    The pass is the one that a line `Run: text form` gives, else the one without options. A graph without a header gets
    one with opset 18, the stage that the pass consumes or produces, and the functions that it calls.

    Raises:
        ValueError: The docstring has no such block.
    """
    text = inspect.cleandoc(kind.__doc__ or "")
    run = re.search(r"^Run: (.+)$", text, re.MULTILINE)
    pass_ = parse_pass(run.group(1) if run else kind.name)
    stage = min(kind.consumes, key=list(Stage).index)
    produced = stage if kind.produces is None else kind.produces
    before, after = _block(kind, text, "Before"), _block(kind, text, "After")
    is_masked = kind.equivalence is Equivalence.MASKED
    reference = _complete(_block(kind, text, "Reference"), stage) if is_masked else None
    return Example(pass_, _complete(before, stage), _complete(after, produced), reference)


def _block(kind: type[Pass], text: str, title: str) -> str:
    found = re.search(rf"^{title}::\n\n((?: +.*\n|\n)+)", text + "\n", re.MULTILINE)
    if found is None:
        raise ValueError(f"the docstring of {kind.__name__} has no block '{title}::'")
    return textwrap.dedent(found.group(1)).strip()


def _complete(graph: str, stage: Stage) -> str:
    if graph.startswith("<"):
        return graph
    domain = f', "{DOMAIN}" : 1' if f"{DOMAIN}." in graph else ""
    record = "" if stage is Stage.DENSE else f', metadata_props: ["{STAGE_KEY}": "{stage}"]'
    header = f'<ir_version: 10, opset_import: ["" : {_OPSET}{domain}]{record}>'
    texts = {name: packed.function_text(name, _OPSET) for name in FUNCTIONS}
    texts |= {name: masked.function_text(name, _OPSET) for name in masked.NAMES}
    functions = [text for name, text in texts.items() if f"{DOMAIN}.{name} " in graph]
    return "\n".join([header, graph, *functions])

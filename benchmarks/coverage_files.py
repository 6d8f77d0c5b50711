"""Which operators of files each stage knows, of ONNX, `ai.onnx.ml` and ONNX Runtime's `com.microsoft`.

    python -m benchmarks.coverage_files [--markdown docs/coverage-files.md]

Read from the tables of the stages, so it says what a stage has something for, not that it takes every attribute and
element type: docs/operators.md and docs/torch_operators.md count the cases that pass.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import onnx
from onnxruntime.capi import onnxruntime_pybind11_state as state

from graphprune.analysis.channels.rules import LINEAR, RULES
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.rewrites.definitions import DEFINITIONS
from graphprune.frontends.torch_operators import FUNCTIONS, MODULES
from graphprune.passes.contrib.table import CONTRIB

MICROSOFT = "com.microsoft"
DOMAINS = {"": "ONNX", "ai.onnx.ml": "ai.onnx.ml", MICROSOFT: MICROSOFT}

FOLDED = frozenset({"Constant", "ConstantOfShape", "EyeLike", "Shape", "Size"})
"""What depends on shapes alone, which are known when a model is compiled."""

HEAD = """# Operators of files

Made by `python -m benchmarks.coverage_files --markdown docs/coverage-files.md` (onnx {}).
Every operator can be loaded, inspected, and stand in a file that is pruned: `wall` means that the values at it keep
all their channels. What depends on no input is computed before a model is compiled, whatever the operator; what is
refused runs on ONNX Runtime with `compile --fallback onnxruntime`, as far as that has a kernel. How much of
an operator a stage takes is counted in [operators.md](operators.md) and [torch_operators.md](torch_operators.md).
"""


class Operator(NamedTuple):
    """One operator, and whether ONNX defines it by others."""

    domain: str
    name: str
    is_defined: bool


def operators() -> list[Operator]:
    """All that the installed `onnx` and `onnxruntime` know, in alphabetical order, domain by domain."""
    current = [schema for schema in onnx.defs.get_all_schemas() if not schema.deprecated]
    defined = {(schema.domain, schema.name): _is_defined(schema) for schema in current}
    for schema in state.get_all_operator_schema():
        if schema.domain == MICROSOFT:
            defined.setdefault((schema.domain, schema.name), False)
    return [Operator(*key, is_defined) for key, is_defined in sorted(defined.items()) if key[0] in DOMAINS]


def _is_defined(schema: onnx.defs.OpSchema) -> bool:
    # The stubs of onnx lack both.
    return bool(schema.has_function or schema.has_context_dependent_function)  # type: ignore[attr-defined]


def channels(operator: Operator) -> str:
    """What channel pruning does at the operator."""
    if operator.domain or operator.name not in RULES:
        return "wall"
    return "weight" if operator.name in LINEAR else "followed"


def torch(operator: Operator) -> str:
    """What `to_torch` does with the operator."""
    if operator.domain:
        return "refused"
    known = operator.name in FUNCTIONS or operator.name in MODULES or operator.name == "Constant"
    return "yes" if known else _by_definition(operator)


def compiled(operator: Operator) -> str:
    """What `compile` does with the operator."""
    if (operator.domain, operator.name) in CONTRIB:
        return "rewritten"
    if operator.domain:
        return "refused"
    if operator.name in FOLDED:
        return "computed before"
    if operator.name in OPERATORS:  # some forms of it may be rewritten first
        return "kernel"
    return "rewritten" if operator.name in DEFINITIONS else _by_definition(operator)


def _by_definition(operator: Operator) -> str:
    return "by its definition" if operator.is_defined else "refused"


STAGES: dict[str, Callable[[Operator], str]] = {
    "prune, fold by channels": channels,
    "to_torch": torch,
    "compile": compiled,
}


def page() -> Iterator[str]:
    """The lines of the page."""
    found = operators()
    yield HEAD.format(onnx.__version__)
    for domain, title in DOMAINS.items():
        group = [operator for operator in found if operator.domain == domain]
        known = sum(compiled(operator) != "refused" for operator in group)
        yield f"## {title}\n\n{known} of {len(group)} operators are compiled.\n"
        yield "\n".join((f"| operator | {' | '.join(STAGES)} |", f"|---{'|---' * len(STAGES)}|"))
        for operator in group:
            yield f"| {operator.name} | {' | '.join(stage(operator) for stage in STAGES.values())} |"
        yield ""


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="write the page here")
    options = parser.parse_args()
    text = "\n".join(page()).rstrip() + "\n"
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

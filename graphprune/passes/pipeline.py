"""A sequence of passes as a value: its order is checked when it is made, not when it runs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphprune.errors import InputError, PreconditionError
from graphprune.passes.base import ChannelMap, Pass, PassResult, run_pass
from graphprune.passes.registry import read_pass
from graphprune.stages.stage import Stage


class Pipeline:
    """Passes that run one after the other.

    Raises:
        PreconditionError: A pass does not accept the stage that the ones before it leave (GP256).
    """

    def __init__(self, passes: Sequence[Pass]) -> None:
        self.passes = tuple(passes)
        _verify_order(self.passes)

    def run(self, model: ir.Model, *, verify: bool = True) -> PassResult:
        """Run all passes; `model` stays untouched.

        Returns:
            The last model with the rewrites and skips of all passes; `changed` if any pass changed the model.

        Raises:
            GraphPruneError: As `run_pass`.
        """
        total = PassResult(model, changed=False)
        for pass_ in self.passes:
            result = run_pass(pass_, total.model, verify=verify)
            total = PassResult(
                result.model,
                total.changed or result.changed,
                total.rewrites + result.rewrites,
                total.skips + result.skips,
                compose(total.channel_map, result.channel_map),
            )
        return total

    def __str__(self) -> str:
        return ",".join(map(str, self.passes))

    def __repr__(self) -> str:
        return f"Pipeline({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.passes == other.passes

    def __hash__(self) -> int:
        return hash(self.passes)


def parse_pipeline(text: str) -> Pipeline:
    """Return the pipeline whose text form is `text`: passes separated by commas.

    Raises:
        InputError: A part is not a pass (GP241, GP242, GP243).
        PreconditionError: The order is impossible (GP256).
    """
    passes = []
    end = -1
    while end < len(text):
        pass_, end = read_pass(text, end + 1)
        passes.append(pass_)
        if text[end : end + 1] not in {"", ","}:
            raise InputError(f"pass text {text!r}: expected a comma at position {end}", code="GP241")
    return Pipeline(passes)


def compose(first: ChannelMap | None, second: ChannelMap | None) -> ChannelMap | None:
    """Return the map of running `first`'s pass and then `second`'s."""
    if first is None or second is None:
        return first if second is None else second
    through = {
        name: tuple(first[name][old] for old in kept) if name in first else kept for name, kept in second.items()
    }
    return {**first, **through}


def _verify_order(passes: Sequence[Pass]) -> None:
    possible = frozenset(Stage)
    for pass_ in passes:
        accepted = possible & pass_.consumes
        if not accepted:
            left, expected = " or ".join(sorted(possible)), " or ".join(sorted(pass_.consumes))
            message = f"{pass_.name}: the passes before it leave stage {left}, expected {expected}"
            raise PreconditionError(message, code="GP256")
        possible = accepted if pass_.produces is None else frozenset({pass_.produces})

"""Check one run of a pass, independently of what the pass reports."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir

from graphprune.errors import PostconditionError
from graphprune.passes.base import Equivalence, Pass, PassResult, run_pass
from graphprune.passes.fingerprint import fingerprint
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import get_stage
from graphprune.testing.oracles import difference
from graphprune.verification.feeds import random_feed

_OPEN_EXTENT = 2  # of a dimension without a name; named ones get 2, 3, ... in the order they are met


class CheckError(AssertionError):
    """A pass that did not keep its contract.

    Attributes:
        check: Which of the checks of `check_pass` found it.
    """

    def __init__(self, pass_: Pass, check: str, what: str) -> None:
        super().__init__(f"{pass_.name}: {check}: {what}")
        self.check = check


def check_pass(
    pass_: Pass,
    before: str | ir.Model,
    after: str | ir.Model | None = None,
    *,
    cases: int | Sequence[Mapping[str, np.ndarray]] = 3,
    reference: ir.Model | None = None,
) -> PassResult:
    """Run `pass_` on `before` and check its whole contract.

    The checks, in order, by the name that a failure carries: `contract` (the runner: the graph is sound, forms legal,
    interface kept), `untouched` (the input, its tensors included, is as it was), `stage` (the one declared), `changed`
    and `report` (measured against the text, and rewrites reported if and only if something changed), `text` (the
    expected one), `fixpoint` (a second run changes nothing), `round-trip` (serialised and read back it is the same),
    `shapes` (none is stale), `numerics` (the oracle that `pass_.equivalence` names).

    Args:
        pass_: The pass.
        before: The input, as ONNX text or as a model.
        after: The expected output, if it is to be compared.
        cases: Feeds, or how many to draw at random.
        reference: What a `MASKED` pass is compared with: `before` with its masks applied.

    Returns:
        The result of the first run, for checks of rewrites and skips.

    Raises:
        CheckError: One of the checks failed.
        GraphPruneError: The pass refuses `before`, or `before` itself is not sound.
    """
    model = _own_tensors(_read(before))
    snapshot, text = _own_tensors(model), ir.to_onnx_text(model)
    result = _run(pass_, model)
    if fingerprint(model) != fingerprint(snapshot) or ir.to_onnx_text(model) != text:
        raise CheckError(pass_, "untouched", "the pass wrote into its input, or into a tensor it shares with it")
    _check_stage(pass_, model, result.model)
    _check_report(pass_, model, result)
    if after is not None:
        _check_text(pass_, canonical_text(_read(after)), canonical_text(result.model))
    _check_fixpoint(pass_, result.model)
    _check_round_trip(pass_, result.model)
    _check_shapes(pass_, result.model)
    _check_numerics(pass_, _oracle(pass_, model, reference), result.model, cases)
    return result


def canonical_text(model: ir.Model) -> str:
    """Return the ONNX text of `model` without what inference derives."""
    clone = model.clone()
    for graph in clone.graphs():
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.type = None
                    value.shape = None
        for value in graph.initializers.values():
            value.type = None
            value.shape = None
    for value in clone.graph.outputs:
        value.shape = None
    return ir.to_onnx_text(clone)


def open_feeds(model: ir.Model, count: int) -> list[dict[str, np.ndarray]]:
    """Draw `count` seeded feeds; open dimensions get small extents, the same for the same symbol."""
    extents: dict[str, int] = {}
    shapes = {str(value.name): _closed(value, extents) for value in model.graph.inputs}
    return [random_feed(model, seed, shapes) for seed in range(count)]


def _read(model: str | ir.Model) -> ir.Model:
    return ir.from_onnx_text(model) if isinstance(model, str) else model


def _own_tensors(model: ir.Model) -> ir.Model:
    """Return a clone with writable copies of the initializers, so that a write into one is seen."""
    clone = model.clone()
    for graph in clone.graphs():
        for name, value in graph.initializers.items():
            if value.const_value is not None and value.const_value.dtype != ir.DataType.STRING:
                value.const_value = ir.tensor(np.array(value.const_value.numpy()), value.const_value.dtype, name=name)
    return clone


def _run(pass_: Pass, model: ir.Model) -> PassResult:
    try:
        return run_pass(pass_, model)
    except PostconditionError as error:
        raise CheckError(pass_, "contract", str(error)) from error


def _check_stage(pass_: Pass, before: ir.Model, after: ir.Model) -> None:
    expected = get_stage(before) if pass_.produces is None else pass_.produces
    if get_stage(after) is not expected:
        raise CheckError(pass_, "stage", f"the model is in stage {get_stage(after)}, expected {expected}")


def _check_report(pass_: Pass, before: ir.Model, result: PassResult) -> None:
    differs = canonical_text(before) != canonical_text(result.model)
    if result.changed != differs:
        raise CheckError(pass_, "changed", f"measured {result.changed}, but the texts say {differs}")
    if result.changed != bool(result.rewrites):
        verb = "changed" if result.changed else "did not change"
        raise CheckError(pass_, "report", f"the model {verb}, but {len(result.rewrites)} rewrites are reported")


def _check_text(pass_: Pass, expected: str, actual: str) -> None:
    if expected != actual:
        lines = difflib.unified_diff(expected.splitlines(), actual.splitlines(), "expected", "actual", lineterm="", n=1)
        raise CheckError(pass_, "text", "the output is not the expected one\n" + "\n".join(lines))


def _check_fixpoint(pass_: Pass, model: ir.Model) -> None:
    if get_stage(model) in pass_.consumes and run_pass(pass_, model).changed:
        raise CheckError(pass_, "fixpoint", "a second run changes the model again")


def _check_round_trip(pass_: Pass, model: ir.Model) -> None:
    proto = onnx.ModelProto.FromString(ir.to_proto(model).SerializeToString())
    if ir.to_onnx_text(ir.from_proto(proto)) != ir.to_onnx_text(model):
        raise CheckError(pass_, "round-trip", "serialised and read back, the model is another one")


def _check_shapes(pass_: Pass, model: ir.Model) -> None:
    fresh = model.clone()
    infer_shapes(fresh)
    if ir.to_onnx_text(fresh) != ir.to_onnx_text(model):
        raise CheckError(pass_, "shapes", "inference finds other shapes than the model records")


def _oracle(pass_: Pass, model: ir.Model, reference: ir.Model | None) -> ir.Model:
    if (reference is None) == (pass_.equivalence is Equivalence.MASKED):
        raise ValueError(f"{pass_.name}: a reference model belongs to masked passes, and only to them")
    return model if reference is None else reference


def _check_numerics(
    pass_: Pass, before: ir.Model, after: ir.Model, cases: int | Sequence[Mapping[str, np.ndarray]]
) -> None:
    feeds = open_feeds(after, cases) if isinstance(cases, int) else cases
    found = difference(pass_, before, after, feeds)
    if found is not None:
        raise CheckError(pass_, "numerics", found)


def _closed(value: ir.Value, extents: dict[str, int]) -> tuple[int, ...]:
    dims = []
    for dim in value.shape or ():
        if isinstance(dim, int):
            dims.append(dim)
        elif dim.value is None:
            dims.append(_OPEN_EXTENT)
        else:
            dims.append(extents.setdefault(dim.value, _OPEN_EXTENT + len(extents)))
    return tuple(dims)

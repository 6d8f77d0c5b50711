"""Two quantized graphs value by value: each integer that they share is computed from the reference's integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass
from onnx_ir.tape import Tape

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.comparison import Tolerance, compare
from graphprune.verification.computed import Computed, computed_outputs, computed_values
from graphprune.verification.first_difference import FirstDifference, find_first_difference
from graphprune.verification.forcing import Shared, forced, forced_name, shared_integers
from graphprune.verification.intermediate import node_values, with_outputs
from graphprune.verification.level_steps import levels_read
from graphprune.verification.levels import Before, LevelDifference, compare_levels
from graphprune.verification.report import QuantizedReport
from graphprune.verification.roundings import precision, reads_floats, roundings
from graphprune.verification.tally import IsTie
from graphprune_runtime.interface import Session

_BEFORE = "graphprune.before."

Arrays = Mapping[str, np.ndarray]


class QuantizedComparison:
    """Collects cases; see the module.

    Args:
        reference: What is right.
        candidate: What is checked.
        shared: The integers that they share.
        tolerance: Of the floats that are outputs.
    """

    def __init__(self, reference: ir.Model, candidate: ir.Model, shared: Shared, tolerance: Tolerance) -> None:
        self._graphs = reference, candidate
        self._shared = shared
        self._tolerance = tolerance
        self._oracle = session_for(_with_levels(reference, set(shared.names)), optimize=False)
        self._forced: Session | None = None
        self._computed = computed_outputs(reference)
        self._nodes = node_values(reference)
        known = {value.name: found for value, found in computed_values(reference).items()}
        self._precisions = {name: precision(known.get(name)) for name in shared.names}
        self.report = QuantizedReport(values=len(shared.names), others=shared.others)

    @classmethod
    def of(
        cls, reference: ir.Model | None, candidate: ir.Model | None, tolerance: Tolerance
    ) -> QuantizedComparison | None:
        """Return what compares two graphs; None where one is not known, or they share no integers."""
        if reference is None or candidate is None or not roundings(reference):
            return None
        shared = shared_integers(reference, candidate)
        return cls(reference, candidate, shared, tolerance) if shared.names else None

    def add(self, feed: Arrays, is_tie: IsTie) -> bool:
        """Compare one case; whether it passed."""
        expected, actual = self._run(feed)
        found = self._compare(expected, actual)
        for name, difference in found.items():
            self._count(name, difference)
        wrong = {name: difference.reason for name, difference in found.items() if difference.reason}
        wrong |= self._wrong_outputs(expected, actual, is_tie)
        if wrong and self.report.reason is None:
            name, reason = next(iter(wrong.items()))
            reason = f"value {name!r}, computed from the reference's integers, {reason}"
            self.report = replace(self.report, reason=reason)
        return not wrong

    def locate(self, feed: Arrays) -> FirstDifference | None:
        """Return the first node of the reference whose value differs where both compute from its integers."""
        expected, actual = self._run(feed)
        passed = {name for name, difference in self._compare(expected, actual).items() if difference.reason is None}
        reference, candidate = (forced(graph, self._ranks(expected)) for graph in self._graphs)
        return find_first_difference(reference, candidate, self._fed(feed, expected), self._tolerance, passed)

    def _run(self, feed: Arrays) -> tuple[Arrays, Arrays]:
        """What both sides compute, by name: the candidate from the reference's integers."""
        expected = _run(self._oracle, feed)
        if self._forced is None:
            graph = forced(self._graphs[1], self._ranks(expected))
            self._forced = session_for(with_outputs(graph, self._shared.names), optimize=False)
        return expected, _run(self._forced, self._fed(feed, expected))

    def _ranks(self, expected: Arrays) -> dict[str, int]:
        return {name: expected[name].ndim for name in self._shared.names}

    def _fed(self, feed: Arrays, expected: Arrays) -> dict[str, np.ndarray]:
        return {**feed, **{forced_name(name): expected[name] for name in self._shared.names}}

    def _compare(self, expected: Arrays, actual: Arrays) -> dict[str, LevelDifference]:
        found = {}
        for name in self._shared.names:
            levels = expected.get(_BEFORE + name)
            before = None if levels is None else Before(levels, self._precisions[name])
            found[name] = compare_levels(expected[name], actual[name], before)
        return found

    def _count(self, name: str, found: LevelDifference) -> None:
        report, node = self.report, self._nodes[name]
        first = report.first_rounded
        if found.differing and first is None:
            first = FirstDifference(node.name or name, node.op_type, name, found.most_levels)
        self.report = replace(
            report,
            elements=report.elements + found.elements,
            differing=report.differing + found.differing,
            most_levels=max(report.most_levels, found.most_levels),
            first_rounded=first,
        )

    def _wrong_outputs(self, expected: Arrays, actual: Arrays, is_tie: IsTie) -> dict[str, str]:
        """What is wrong with outputs of floats, where no integers that are not shared lie before them."""
        wrong = {}
        for name in sorted(self._shared.outputs.difference(self._shared.names)):
            computed = self._computed.get(name, Computed())
            reason = compare(expected[name], actual[name], self._tolerance, computed).reason
            if reason and not is_tie(name, expected[name], actual[name]):
                wrong[name] = reason
        return wrong


def _run(session: Session, feed: Arrays) -> dict[str, np.ndarray]:
    names = [info.name for info in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def _with_levels(model: ir.Model, names: set[str]) -> ir.Model:
    """A copy that gives these integers too, and what they were before they were rounded."""
    clone = with_outputs(model, names)
    ShapeInferencePass()(clone)
    for node in roundings(clone):
        name = str(node.outputs[0].name)
        if name in names and reads_floats(node):
            tape = Tape()
            clone.graph.outputs.append(levels_read(tape, node, _BEFORE + name))
            clone.graph.insert_after(node, tape.nodes)
    return clone

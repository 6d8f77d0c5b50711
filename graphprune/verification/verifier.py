"""Whether two models are the same function: seeded cases, errors by output, and the first node that differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

import numpy as np

from graphprune.errors import InputError
from graphprune.graph.input_shapes import InputShapes, shape_sets
from graphprune.verification.comparison import Tolerance
from graphprune.verification.computed import computed_outputs
from graphprune.verification.feeds import merged_limits, random_feed
from graphprune.verification.first_difference import FirstDifference, find_first_difference
from graphprune.verification.interface import check_interfaces, merged_inputs
from graphprune.verification.quantized import QuantizedComparison
from graphprune.verification.report import VerifyReport
from graphprune.verification.rounding_ties import RoundingTies
from graphprune.verification.samples import feeds_of
from graphprune.verification.shapes import merged_sets
from graphprune.verification.sides import OpenSide, Side, open_side
from graphprune.verification.tally import Tally
from graphprune.verification.ties import rankings

_CASES = 3


def verify(  # noqa: PLR0913 - one argument an option of the command
    reference: Side,
    candidate: Side,
    cases: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    *,
    input_shapes: InputShapes | None = None,
    samples: Iterable[Mapping[str, np.ndarray]] | None = None,
    on_case: Callable[[int], None] | None = None,
) -> VerifyReport:
    """Compare all outputs of two models on seeded random inputs, or on samples that are given.

    Models and `.onnx` files run on ONNX Runtime with every optimisation off. NaN equals NaN in the same place. If every
    output is zero, NaN or empty in every case the verification fails: it compared nothing.

    Args:
        reference: what is right: a path (`.onnx` or compiled), a model in memory or a session.
        candidate: what is checked, likewise.
        cases: how many inputs are drawn, by default 3, and at least one for each set of shapes; or how many samples are
            compared at most, by default all.
        rtol: relative tolerance, see `Tolerance` for the default.
        atol: absolute tolerance, by default relative to the largest value of each output.
        seed: case `i` is drawn with seed `seed + i`.
        input_shapes: extents for inputs with open dimensions, or several: cases take turns. Without, the cases show
            every program of a compiled file, and several numbers of samples where it takes any.
        samples: real inputs instead: arrays by input name, one sample or several stacked at a time (see `feeds_of`).
        on_case: called with the number of cases done after each.

    Raises:
        InputError: an option is out of range, a dimension is open, or samples do not fit the inputs.
        VerificationError: the two have different inputs or outputs, so they cannot be compared at all.
    """
    tolerance = Tolerance(rtol, atol)
    if cases is not None and cases < 1:
        raise InputError(f"cases is {cases}, expected at least 1", code="GP563")
    sides = open_side(reference, "reference"), open_side(candidate, "candidate")
    check_interfaces(*sides)
    feeds = _random_feeds(sides, cases, seed, input_shapes) if samples is None else _given_feeds(sides, cases, samples)
    names = [info.name for info in sides[0].session.get_outputs()]
    tally = Tally(names, tolerance, computed_outputs(sides[0].model))
    ties = RoundingTies.of(sides[0].model, tolerance)
    quantized = QuantizedComparison.of(sides[0].model, sides[1].model, tolerance)
    failing: dict[str, np.ndarray] | None = None
    done = 0
    for done, feed in enumerate(feeds, start=1):
        is_tie = partial(_is_tie, sides[0], feed, tolerance)
        hold = ties.on(feed) if ties else None
        passed = tally.add(sides[0].session.run(None, feed), sides[1].session.run(None, feed), is_tie, hold)
        passed = (quantized is None or quantized.add(feed, is_tie)) and passed
        failing = feed if failing is None and not passed else failing
        if on_case:
            on_case(done)
    outputs, warnings = tally.finish()
    levels = quantized.report if quantized else None
    return VerifyReport(
        passed=all(output.difference.reason is None for output in outputs) and not (levels and levels.reason),
        cases=done,
        seed=seed if samples is None else None,
        outputs=outputs,
        first_difference=None if failing is None else _locate(*sides, failing, tolerance, quantized),
        warnings=warnings,
        quantized=levels,
    )


def _random_feeds(
    sides: tuple[OpenSide, OpenSide], cases: int | None, seed: int, input_shapes: InputShapes | None
) -> Iterator[dict[str, np.ndarray]]:
    infos = merged_inputs(*sides)
    limits = merged_limits(side.model for side in sides if side.model is not None)
    sets = shape_sets(input_shapes) if input_shapes else merged_sets(side.session for side in sides)
    for case in range(max(_CASES if cases is None else cases, len(sets))):
        yield random_feed(infos, seed + case, sets[case % len(sets)], limits)


def _given_feeds(
    sides: tuple[OpenSide, OpenSide], cases: int | None, samples: Iterable[Mapping[str, np.ndarray]]
) -> Iterator[dict[str, np.ndarray]]:
    return islice(feeds_of(samples, merged_inputs(*sides)), cases)


def _is_tie(
    reference: OpenSide,
    feed: Mapping[str, np.ndarray],
    tolerance: Tolerance,
    name: str,
    expected: np.ndarray,
    actual: np.ndarray,
) -> bool:
    """Whether an output holds indices of scores that are as good as those expected."""
    ranking = rankings(reference.model).get(name)
    if reference.model is None or ranking is None or (expected.shape, expected.dtype) != (actual.shape, actual.dtype):
        return False
    return ranking.is_tie(reference.model, feed, (expected, actual), tolerance)


def _locate(
    reference: OpenSide,
    candidate: OpenSide,
    feed: Mapping[str, np.ndarray],
    tolerance: Tolerance,
    quantized: QuantizedComparison | None,
) -> FirstDifference | None:
    if quantized is not None:
        return quantized.locate(feed)
    if reference.model is None or candidate.model is None:
        return None  # compiled code keeps no intermediate values
    return find_first_difference(reference.model, candidate.model, feed, tolerance)

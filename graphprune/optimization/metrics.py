"""How good a model is: a function of the user's, or how close it comes to the dense model on samples without labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed
from graphprune.errors import InputError
from graphprune_runtime.interface import Session

Array = npt.NDArray[Any]
MetricFunction = Callable[[Session], float]

AGREEMENT, CLOSENESS = "agreement", "closeness"

_SCORES = {"Gemm", "MatMul", "Softmax", "LogSoftmax"}
_PASSED = {
    "Add",
    "Cast",
    "DequantizeLinear",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Transpose",
}


class Metric(Protocol):
    """How good what runs is: more is better."""

    @property
    def words(self) -> str:
        """What the number means."""

    def of(self, session: Session) -> float:
        """Return how good a session is.

        Raises:
            InputError: The user's function raises (GP642), or returns no finite number (GP643).
        """


@dataclass(frozen=True)
class ByFunction:
    """What a function of the user's returns for something that runs like an ONNX Runtime session.

    Attributes:
        function: Takes the session.
        words: What it is called.
    """

    function: MetricFunction
    words: str

    def of(self, session: Session) -> float:
        """Return what the function returns.

        Raises:
            InputError: GP642, GP643.
        """
        try:
            found = self.function(session)
        except Exception as error:  # anybody's function
            raise InputError(f"metric {self.words} raises {type(error).__name__}: {error}", code="GP642") from error
        if not _is_finite(found):
            raise InputError(f"metric {self.words} returns {found!r}, expected a finite number", code="GP643")
        return float(found)


def _is_finite(found: object) -> bool:
    return isinstance(found, float | int | np.number) and math.isfinite(found)


@dataclass(frozen=True)
class Agreement:
    """The share of answers that are the dense model's: the places of the largest elements along the last axis.

    Attributes:
        feeds: Samples.
        answers: Those of the dense model.
    """

    feeds: Sequence[Feed]
    answers: Sequence[Array]

    @property
    def words(self) -> str:
        """What the number means."""
        return f"the share of answers that are the dense model's (its largest output), on {len(self.feeds)} samples"

    def of(self, session: Session) -> float:
        """Return the share, in [0, 1]."""
        found = (session.run(None, feed)[0].argmax(axis=-1) for feed in self.feeds)
        return float(np.mean([np.mean(one == other) for one, other in zip(found, self.answers, strict=True)]))


@dataclass(frozen=True)
class Closeness:
    """How close outputs come to the dense model's: 1 less the root of the mean square error, relative to their own.

    Attributes:
        feeds: Samples.
        outputs: Those of the dense model.
    """

    feeds: Sequence[Feed]
    outputs: Sequence[Array]

    @property
    def words(self) -> str:
        """What the number means."""
        return f"1 less the relative error of the first output, against the dense model's, on {len(self.feeds)} samples"

    def of(self, session: Session) -> float:
        """Return it: at most 1, and negative where the error is larger than the outputs."""
        wrong = whole = 0.0
        for feed, dense in zip(self.feeds, self.outputs, strict=True):
            wrong += float(np.square(session.run(None, feed)[0].astype(np.float64) - dense).sum())
            whole += float(np.square(dense.astype(np.float64)).sum())
        return 1 - math.sqrt(wrong / whole) if whole else float(wrong == 0)


def metric_for(model: ir.Model, feeds: Sequence[Feed], wanted: str | MetricFunction | None) -> Metric:
    """Return how good models are that are to take the place of `model`.

    Args:
        model: Dense.
        feeds: Samples that nothing is pruned by.
        wanted: A function, `agreement` or `closeness`; None for what fits the first output: agreement where it is made
            by a product or a Softmax, as scores of classes are.

    Raises:
        InputError: It is another word (GP646).
    """
    if callable(wanted):
        name = f"{getattr(wanted, '__module__', '')}:{getattr(wanted, '__name__', type(wanted).__name__)}"
        return ByFunction(wanted, name.removeprefix(":"))
    if wanted not in {None, AGREEMENT, CLOSENESS}:
        expected = f"'{AGREEMENT}', '{CLOSENESS}' or a function package.module:function"
        raise InputError(f"metric is '{wanted}', expected {expected}", code="GP646")
    session = session_for(model, threads=0)
    outputs = [session.run(None, feed)[0] for feed in feeds]
    if wanted == AGREEMENT or (wanted is None and _gives_scores(model.graph.outputs[0])):
        return Agreement(feeds, [output.argmax(axis=-1) for output in outputs])
    return Closeness(feeds, outputs)


def _gives_scores(output: ir.Value) -> bool:
    """Whether a product or a Softmax makes it, as far as can be seen."""
    value: ir.Value | None = output
    while value is not None and (node := value.producer()) is not None and node.domain == "":
        if node.op_type in _SCORES:
            return True
        if node.op_type not in _PASSED:
            return False
        value = next((each for each in node.inputs if each is not None and each.const_value is None), None)
    return False

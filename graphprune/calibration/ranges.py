"""The least and the largest element of each value of a model over samples, by ONNX Runtime's calibrators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError
from graphprune.files import work_folder
from graphprune.frontends.onnx_file import save
from graphprune.graph.nodes import describe
from graphprune.passes.quantize import Range
from graphprune.verification.intermediate import node_values, run_with_outputs

Feed = Mapping[str, np.ndarray]


class Method(StrEnum):
    """How a range is taken from what is seen: all of it, or what loses the least by one of two measures."""

    MINMAX = "minmax"
    ENTROPY = "entropy"
    PERCENTILE = "percentile"


def calibrate(model: ir.Model, feeds: Iterable[Feed], method: str = Method.MINMAX) -> tuple[Range, ...]:
    """Return the range of each floating-point value of the main graph on these feeds, in the order of the graph.

    Values that become infinite, as scores behind a mask, have none.

    Raises:
        InputError: a feed holds NaN or an infinity (GP575), no input varies (GP577), or the method is none of `Method`
            (GP578).
        BackendError: ONNX Runtime rejects the model.
    """
    if method not in set(Method):
        raise InputError(f"method is {method!r}, expected one of {', '.join(Method)}", code="GP578")
    found = _ranges(model, _finite(feeds), Method(method))
    inputs = [found[name] for value in model.graph.inputs if (name := str(value.name)) in found]
    if inputs and all(low == high for low, high in inputs):
        raise InputError(f"the inputs are {inputs[0][0]:g} everywhere in all samples, expected real ones", code="GP577")
    return tuple((name, *found[name]) for name in _names(model) if name in found)


def _ranges(model: ir.Model, feeds: Iterator[Feed], method: Method) -> dict[str, tuple[float, float]]:
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    methods = {
        Method.MINMAX: CalibrationMethod.MinMax,
        Method.ENTROPY: CalibrationMethod.Entropy,
        Method.PERCENTILE: CalibrationMethod.Percentile,
    }
    with work_folder() as folder:
        save(model, folder / "model.onnx")
        calibrator = create_calibrator(
            str(folder / "model.onnx"), None, str(folder / "augmented.onnx"), methods[method]
        )
        calibrator.collect_data(_Reader(feeds))
        ranges = {name: data.range_value for name, data in calibrator.compute_data().items()}
    pairs = {name: (float(np.min(low)), float(np.max(high))) for name, (low, high) in ranges.items()}
    return {name: pair for name, pair in pairs.items() if np.isfinite(pair).all()}


class _Reader:
    """Feeds, as ONNX Runtime's calibrators ask for them."""

    def __init__(self, feeds: Iterator[Feed]) -> None:
        self._feeds = feeds

    def get_next(self) -> Feed | None:
        """The next one; None after the last."""
        return next(self._feeds, None)


def _finite(feeds: Iterable[Feed]) -> Iterator[Feed]:
    for number, feed in enumerate(feeds):
        for name, array in feed.items():
            if not _is_finite(array):
                raise InputError(f"sample {number}: input '{name}' holds NaN or an infinity", code="GP575")
        yield feed


def _names(model: ir.Model) -> list[str]:
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    return [str(value.name) for value in values]


def check_outputs(model: ir.Model, feeds: Iterable[Feed]) -> None:
    """Check that a model gives numbers.

    Raises:
        InputError: an output is NaN or infinite; says where that begins (GP576).
    """
    session = session_for(model, optimize=False)
    for feed in feeds:
        if all(map(_is_finite, session.run(None, feed))):
            continue
        nodes = node_values(model)
        values = run_with_outputs(model, set(nodes), feed)
        name = next(name for name in nodes if not _is_finite(values[name]))
        message = f"{describe(nodes[name])}: '{name}' is NaN or infinite on these samples"
        raise InputError(message, code="GP576")


def _is_finite(array: np.ndarray) -> bool:
    return not np.issubdtype(array.dtype, np.floating) or bool(np.isfinite(array).all())

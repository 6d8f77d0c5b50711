"""Two models are the same function, or why they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError, VerificationError
from graphprune.frontends.onnx_file import save
from graphprune.verification import sides
from graphprune.verification.verifier import verify
from graphprune_runtime.interface import Session
from tests.verification.tampered import (
    ZEROS,
    Tampered,
    cut,
    double_precision,
    doubled,
    model,
    one_element,
    one_nan,
    permuted,
    swapped,
)


def test_a_model_equals_itself() -> None:
    report = verify(model(), model())
    assert report.passed
    report.raise_for_failure()
    assert (report.cases, report.warnings, report.first_difference) == (3, (), None)
    assert [output.name for output in report.outputs] == ["y", "h"]
    assert all(output.difference.max_abs_reference > 0 for output in report.outputs)


def test_every_kind_of_side_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(model(), path)
    every = [path, str(path), model(), session_for(model()), ort.InferenceSession(str(path))]
    for side in every:
        assert verify(model(), side, cases=1).passed
        assert verify(side, model(), cases=1).passed


def test_rounding_is_tolerated() -> None:
    assert verify(model(), Tampered(session_for(model()), lambda arrays: [a * (1 + 1e-6) for a in arrays])).passed


@pytest.mark.parametrize(
    ("change", "output", "reason"),
    [
        (one_element, "h", r"differs in 3 of 4 elements|differs in 1 of 4 elements, by at most 0.001"),
        (one_nan, "y", r"1 of them NaN or infinite on one side only"),
        (doubled, "y", r"differs in 2 of 2 elements"),
        (permuted, "y", r"differs in 2 of 2 elements"),
        (swapped, "y", r"has shape \[1, 4\], expected \[1, 2\]"),
        (cut, "y", r"has shape \[1, 1\], expected \[1, 2\]"),
        (double_precision, "y", r"has dtype float64, expected float32"),
    ],
)
def test_a_wrong_candidate_fails(
    change: Callable[[list[np.ndarray]], list[np.ndarray]], output: str, reason: str
) -> None:
    report = verify(model(), Tampered(session_for(model()), change))
    assert not report.passed
    with pytest.raises(VerificationError, match=rf"^output '{output}' .*({reason}).*\[GP561\]$"):
        report.raise_for_failure()


def test_an_error_in_one_case_only_fails() -> None:
    calls: list[int] = []

    def last_case(arrays: list[np.ndarray]) -> list[np.ndarray]:
        calls.append(1)
        return doubled(arrays) if len(calls) == 3 else arrays

    report = verify(model(), Tampered(session_for(model()), last_case))
    assert not report.passed
    assert report.outputs[0].difference.mismatches == 2


def test_no_side_is_optimised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def recorded(name: str) -> Callable[..., Session]:
        make = getattr(sides, name)

        def opened(*arguments: object, **options: object) -> Session:
            asked.append(options.get("optimize"))
            return make(*arguments, **options)  # type: ignore[no-any-return] # it opens a session

        return opened

    for name in ("session_for", "session_for_file"):
        monkeypatch.setattr(sides, name, recorded(name))
    save(model(), tmp_path / "m.onnx")
    assert verify(model(), tmp_path / "m.onnx", cases=1).passed
    assert asked == [False, False]


def test_a_report_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"use \.passed"):
        bool(verify(model(), model(), cases=1))


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (
            model("float[batch,3] x", "float[batch,3] x, float[1] z"),
            r"inputs are \['x', 'z'\], expected \['x'\] .*GP564",
        ),
        (model("float[batch,2] y, float[batch,4] h", "float[batch,4] h, float[batch,2] y"), r"outputs are .*GP565"),
        (model("float[batch,2] y, ", ""), r"outputs are \['h'\], expected \['y', 'h'\] as in the reference \[GP565\]"),
    ],
)
def test_different_interfaces_cannot_be_compared(candidate: ir.Model, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        verify(model(), candidate)


def test_inputs_of_other_extents_cannot_be_compared() -> None:
    one, other = (ir.from_onnx_text(ZEROS.replace("float[2]", f"float[{size}]")) for size in (2, 3))
    with pytest.raises(VerificationError, match=r"input is x: float32\[3\], expected x: float32\[2\] .* \[GP564\]"):
        verify(one, other)


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"candidate is a int, expected a path, an onnx_ir.Model or a session \[GP566\]"
    ):
        verify(model(), 3)  # type: ignore[arg-type]

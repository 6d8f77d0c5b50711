from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import OnnxRuntimeSession
from graphprune.compiler.compile import compile as compile_model
from graphprune.errors import BackendError, GraphPruneError, InputError, UnsupportedModelError
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.verification.verifier import verify
from graphprune_runtime.interface import Session
from graphprune_runtime.loading import load_session
from tests.small_model import TEXT, proto, weight

OPEN = TEXT.replace("[1,8,6,6]", "[batch,8,6,6]").replace("[1,16,6,6]", "[batch,16,6,6]")
TWO_OPEN = TEXT.replace("[1,8,6,", "[batch,8,side,")


def sparse_weight() -> np.ndarray:
    array = weight()
    array[np.abs(array) < 1.5] = 0
    return array


def model(text: str = TEXT, *, sparse: bool = False) -> ir.Model:
    return ir.from_proto(proto(text, w=sparse_weight() if sparse else weight()))


@pytest.mark.parametrize("sparse", [False, True])
def test_compiled_code_is_the_same_function(sparse: bool) -> None:  # noqa: FBT001 - a test's parameter
    graph = model(sparse=sparse)
    session = compile_model(graph)
    assert isinstance(session, Session)
    verify(graph, session).raise_for_failure()


def test_a_packed_model_compiles_as_it_is() -> None:
    packed = run_pass(PackWeights(layout="rows"), model(sparse=True)).model
    assert get_stage(packed) is Stage.PACKED
    verify(packed, compile_model(packed)).raise_for_failure()


def test_the_model_stays_as_it_is() -> None:
    graph = model(sparse=True)
    before = ir.to_proto(graph).SerializeToString()
    compile_model(graph)
    assert ir.to_proto(graph).SerializeToString() == before


def test_a_compiled_file_runs_like_its_session(tmp_path: Path) -> None:
    graph = model(sparse=True)
    session = compile_model(graph)
    session.save(tmp_path / "m.so")
    verify(session, load_session(tmp_path / "m.so"), rtol=0, atol=0).raise_for_failure()
    verify(graph, tmp_path / "m.so").raise_for_failure()


def test_open_dimensions_are_fixed() -> None:
    graph = model(OPEN)
    session = compile_model(graph, input_shapes={"x": (2, 8, 6, 6)})
    assert session.get_inputs()[0].shape == (2, 8, 6, 6)
    verify(graph, session).raise_for_failure()


def test_onnxruntime_keeps_open_dimensions_and_needs_no_packing() -> None:
    session = compile_model(model(OPEN), backend="onnxruntime")
    assert isinstance(session, OnnxRuntimeSession)
    assert session.get_inputs()[0].shape == ("batch", 8, 6, 6)


def masked() -> ir.Model:
    graph = model()
    set_stage(graph, Stage.MASKED)
    return graph


@pytest.mark.parametrize(
    ("graph", "options", "kind", "message"),
    [
        (model(), {"threads": 0}, InputError, r"threads is 0, expected 1 to 256 \[GP532\]"),
        (model(), {"target": "avx9"}, BackendError, r"unknown target 'avx9'.* \[GP493\]"),
        (model(), {"backend": "xla"}, BackendError, r"unknown backend 'xla'.* \[GP491\]"),
        (model(), {"input_shapes": {"z": (1,)}}, InputError, r"no input is named 'z'.* \[GP231\]"),
        (model(), {"input_shapes": {"x": (1, 8)}}, InputError, r"'x' is given shape \[1, 8\].* \[GP232\]"),
        (model(TWO_OPEN), {}, InputError, r"open dimensions in x: .*--input-shape x:1x8x<side>x6.* \[GP534\]"),
        (masked(), {}, UnsupportedModelError, r"stage masked, harden its masks before compiling \[GP533\]"),
        (model(TEXT.replace("[1,", "[0,")), {}, UnsupportedModelError, r"input x: .* has no elements \[GP535\]"),
    ],
)
def test_what_cannot_be_compiled_is_refused(
    graph: ir.Model, options: dict[str, object], kind: type[GraphPruneError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        compile_model(graph, **options)  # type: ignore[arg-type]

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import Expr, Flat, build_function, lanes, store
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE
from graphprune.backends.tvm.program.recording import ALIGNMENT, Kernels, Recording, Weights


def scaled(by: float, size: int = 8) -> Expr:
    arguments = [Flat("x", size, "float32"), Flat("y", 8, "float32")]
    return build_function(
        "scale", arguments, lambda k: lanes(8, 8, lambda i: store(k["y"], i, k["x"][i] * np.float32(by).item()))
    )


def test_equal_weights_are_kept_once() -> None:
    weights = Weights()
    one = np.arange(5, dtype=np.float32)
    assert [weights.add(one), weights.add(one + 1), weights.add(one.copy())] == [0, 1, 0]
    assert weights.add(one.view(np.int32)) == 2  # the same bytes as another type


def test_weights_lie_where_their_offsets_say() -> None:
    weights = Weights()
    arrays = [np.arange(count, dtype=np.int16) for count in (1, 32, 33, 100)]
    for array in arrays:
        weights.add(array)
    content = b"".join(bytes(chunk) for chunk in weights.chunks())
    assert [offset % ALIGNMENT for offset in weights.offsets()] == [0] * 4
    for offset, array in zip(weights.offsets(), arrays, strict=True):
        np.testing.assert_array_equal(np.frombuffer(content, np.int16, array.size, offset), array)
    assert len(content) == 64 + 64 + 128 + 256


def test_equal_kernels_are_kept_once() -> None:
    kernels = Kernels()
    first, other, again = kernels.add(scaled(2)), kernels.add(scaled(3)), kernels.add(scaled(2))
    assert first.same_as(again)
    assert not first.same_as(other)
    assert [kept.name_hint for kept in kernels.functions] == [first.name_hint, other.name_hint]


def test_equal_code_has_one_name_in_every_model() -> None:
    names = [Kernels().add(scaled(by)).name_hint for by in (2, 2, 3)]
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("gp_scale_") for name in names)


@pytest.mark.parametrize(("checks", "count"), [("", 1), ("1", 2)])
def test_sizes_of_parameters_make_other_code_where_it_checks_itself(
    checks: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKS_VARIABLE, checks)
    kernels = Kernels()
    for size in (8, 9):
        kernels.add(scaled(2, size))
    assert len(kernels.functions) == count


def test_what_a_call_writes_is_written() -> None:
    recording = Recording(Kernels(), Weights())
    x, weight = recording.input(8, "float32"), recording.weight(np.ones(8, np.float32), "float32")
    y = recording.input(8, "float32")
    recording.call(scaled(2), [x], [y])
    assert [recording.is_written(buffer) for buffer in (x, weight, y)] == [False, False, True]

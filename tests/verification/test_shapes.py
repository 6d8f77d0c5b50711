from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from graphprune.verification.shapes import merged_sets, sets_to_draw
from graphprune_runtime.description import BatchNote, ProgramNote
from graphprune_runtime.interface import Dim, Session, TensorInfo
from graphprune_runtime.session import CompiledSession


def program(samples: int | None, *shape: Dim) -> ProgramNote:
    return ProgramNote((TensorInfo("x", shape, np.dtype("float32")),), (), BatchNote(samples, ""))


def compiled(*programs: ProgramNote) -> CompiledSession:
    """A session that says what it is of, and cannot run."""
    session = CompiledSession.__new__(CompiledSession)
    cast("Any", session)._description = SimpleNamespace(programs=programs)
    return session


OTHER = cast("Session", object())


def test_several_numbers_of_samples_are_tried_where_any_is_taken() -> None:
    session = compiled(program(None, None, 3))
    assert sets_to_draw(session) == [{"x": (1, 3)}, {"x": (2, 3)}, {"x": (5, 3)}]


def test_every_program_is_tried_once_where_its_shapes_are_fixed() -> None:
    assert sets_to_draw(compiled(program(1, 1, 3), program(4, 4, 3))) == [{"x": (1, 3)}, {"x": (4, 3)}]


def test_other_sessions_say_nothing() -> None:
    assert sets_to_draw(OTHER) == [{}]
    assert merged_sets([OTHER, compiled(program(1, 1, 3))]) == [{"x": (1, 3)}]
    assert merged_sets([OTHER, OTHER]) == [{}]

"""Input shapes that show all that a session takes: each of its programs, and several numbers of samples."""

from __future__ import annotations

from collections.abc import Iterable

from graphprune.graph.input_shapes import Shape
from graphprune_runtime.description import ProgramNote
from graphprune_runtime.interface import Session
from graphprune_runtime.session import CompiledSession

SAMPLES = (1, 2, 5)
"""Numbers of samples to try where any is taken."""


def sets_to_draw(session: Session) -> list[dict[str, Shape]]:
    """Sets of shapes for the inputs of a session; an empty one where its inputs say all themselves."""
    if not isinstance(session, CompiledSession):
        return [{}]
    return [each for program in session.description.programs for each in _sets_of(program)]


def merged_sets(sessions: Iterable[Session]) -> list[dict[str, Shape]]:
    """The sets of the first session that has any."""
    return next((sets for session in sessions if any(sets := sets_to_draw(session))), [{}])


def _sets_of(program: ProgramNote) -> list[dict[str, Shape]]:
    open_samples = program.batch.samples is None
    return [
        {info.name: tuple(dim if isinstance(dim, int) else samples for dim in info.shape) for info in program.inputs}
        for samples in (SAMPLES if open_samples else SAMPLES[:1])
    ]

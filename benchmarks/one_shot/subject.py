"""What a study of pruning without training needs of a network: its file, two sets of samples, and a score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import graphprune as gp
from benchmarks.one_shot.sources import Sources
from graphprune.backends.onnxruntime import session_for_file
from graphprune.verification.samples import feeds_of
from graphprune_runtime.interface import Session

THREADS = 2

Array = npt.NDArray[Any]
Samples = Mapping[str, Array]
"""Arrays by the names of the network's inputs, samples along the first axis."""


@dataclass(frozen=True)
class Prepared:
    """A trained network and its data.

    Attributes:
        model: The network, for one sample.
        calibration: Samples for whoever prunes.
        held_out: Samples that the score is measured on, made of other material than `calibration`.
        expected: What the score compares the outputs of each held-out sample with.
    """

    model: ir.Model
    calibration: Samples
    held_out: Samples
    expected: Array


class Subject(Protocol):
    """A trained network."""

    metric: str
    """What `score` returns, in words."""

    more_is_better: bool
    """Whether a better network has a higher score."""

    def prepare(self, sources: Sources) -> Prepared:
        """Fetch and export."""
        ...

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        """How good the first outputs of the held-out samples are."""
        ...


def write(prepared: Prepared, cache: Path) -> None:
    """Write `dense.onnx`, `calibration.npz`, `held_out.npz` and `expected.npy` to a folder."""
    cache.mkdir(parents=True, exist_ok=True)
    gp.save(prepared.model, cache / "dense.onnx")
    np.savez(cache / "calibration.npz", **prepared.calibration)  # type: ignore[arg-type]
    np.savez(cache / "held_out.npz", **prepared.held_out)  # type: ignore[arg-type]
    np.save(cache / "expected.npy", prepared.expected)


def score_file(subject: Subject, cache: Path, file: Path) -> float:
    """The score of an ONNX file in ONNX Runtime, on what `write` left in `cache`."""
    return score_session(subject, cache, session_for_file(file, THREADS))


def score_session(subject: Subject, cache: Path, session: Session) -> float:
    """The score of what runs, on what `write` left in `cache`."""
    with np.load(cache / "held_out.npz", allow_pickle=False) as archive:
        held_out = dict(archive)
    return subject.score(answers(session, held_out), np.load(cache / "expected.npy", allow_pickle=False))


def answers(session: Session, samples: Samples) -> Iterator[Array]:
    """The first output of each sample."""
    return (session.run(None, feed)[0] for feed in feeds_of([samples], session.get_inputs()))


def spread(array: Array, count: int) -> Array:
    """`count` of the entries along the first axis, evenly spaced from the first to the last."""
    return np.take(array, np.linspace(0, len(array) - 1, count).astype(int), axis=0)

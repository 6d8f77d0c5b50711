"""A recognizer of lines of text, PaddleOCR's: the share of characters that it reads right."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import graphprune as gp
from benchmarks.one_shot.lines import HEIGHT, WIDTH, drawn, texts
from benchmarks.one_shot.sources import Half, Sources
from benchmarks.one_shot.subject import Array, Prepared
from graphprune.passes import FixInputShapes
from graphprune.passes.base import run_pass

CALIBRATION, HELD_OUT = 128, 256
"""Lines."""

BLANK = 0
"""The class of no character; that between two like characters tells them apart."""


class Recognizer:
    """A network of convolutions and attention whose outputs are classes of characters along the line."""

    metric = "characters right"
    more_is_better = True

    def prepare(self, sources: Sources) -> Prepared:
        """Open the file for one line of a fixed size, and draw lines."""
        folder = sources.wheel("rapidocr-onnxruntime==1.4.4") / "rapidocr_onnxruntime" / "models"
        model = gp.load(folder / "ch_PP-OCRv4_rec_infer.onnx")
        name = str(model.graph.inputs[0].name)
        alphabet = [*model.metadata_props["character"].splitlines(), " "]
        fixed = run_pass(FixInputShapes(shapes=((name, (1, 3, HEIGHT, WIDTH)),)), model).model
        calibration = texts(sources, Half.CALIBRATION, CALIBRATION, alphabet)
        held_out = texts(sources, Half.HELD_OUT, HELD_OUT, alphabet)
        given, unseen = ({name: drawn(sources, lines)} for lines in (calibration, held_out))
        return Prepared(fixed, given, unseen, _classes(held_out, alphabet))

    def score(self, outputs: Iterable[Array], expected: Array) -> float:
        """One less the characters to change, add and take away, over the characters."""
        read = [_read(scores[0]) for scores in outputs]
        wrong = sum(distance(found, line[line != BLANK]) for found, line in zip(read, expected, strict=True))
        return 1 - wrong / np.count_nonzero(expected != BLANK)


def _classes(lines: list[str], alphabet: list[str]) -> Array:
    """The class of each character, blank after the last."""
    class_of = {character: index for index, character in enumerate(alphabet, BLANK + 1)}
    found = np.full((len(lines), max(map(len, lines))), BLANK)
    for row, line in zip(found, lines, strict=True):
        row[: len(line)] = [class_of[character] for character in line]
    return found


def _read(scores: Array) -> Array:
    """The characters of scores [steps, classes]: the best class of each step, repetitions and blanks taken out."""
    best = scores.argmax(axis=1)
    changes = np.append(True, best[1:] != best[:-1])
    return np.extract(changes & (best != BLANK), best)


def distance(one: Array, other: Array) -> int:
    """The fewest characters to change, add and take away that make one of the other (Levenshtein)."""
    places = costs = np.arange(len(other) + 1)
    for character in one:
        stepped = np.minimum(costs[1:] + 1, costs[:-1] + (other != character))
        costs = np.minimum.accumulate(np.append(costs[0] + 1, stepped) - places) + places  # each place on costs one
    return int(costs[-1])

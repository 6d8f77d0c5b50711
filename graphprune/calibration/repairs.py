"""What is done so that integers lose less, one after the other, where outputs then err less on the samples."""

from __future__ import annotations

from dataclasses import replace

from graphprune.calibration.biases import bias_corrections
from graphprune.calibration.trial import Quantized, Trial


def repaired(found: Quantized) -> Quantized:
    """Correct biases where that lowers the error of the outputs."""
    for attempt in (_corrected,):
        other = attempt(found).without(found.keep)
        found = other if other.error < found.error else found
    return found


def _corrected(found: Quantized) -> Trial:
    """Biases give back what rounded weights lose on average."""
    trial = found.trial
    return replace(trial, corrections=bias_corrections(trial.model, found.result.model, trial.feeds))

"""What is done so that integers lose less, where outputs then err less on the samples."""

from __future__ import annotations

from dataclasses import replace

from graphprune.calibration.biases import bias_corrections
from graphprune.calibration.gains import channel_gains
from graphprune.calibration.ranges import calibrate
from graphprune.calibration.trial import Quantized, Trial
from graphprune.passes.base import run_pass
from graphprune.passes.equalize_channels import EqualizeChannels

_CLEARLY = 0.9
"""What new scales may leave of the error to be worth it: a smaller gain on some samples is none on others."""


def repaired(found: Quantized) -> Quantized:
    """Correct biases where that lowers the error of the outputs, and equalize channels before where it clearly does."""
    best, equal = _with_biases(found), equalized(found)
    if equal is found.trial:
        return best
    other = _with_biases(equal.without(found.keep))
    return other if other.error < _CLEARLY * best.error else best


def _with_biases(found: Quantized) -> Quantized:
    other = corrected(found).without(found.keep)
    return other if other.error < found.error else found


def equalized(found: Quantized) -> Trial:
    """Channels that one range holds badly get others."""
    trial = found.trial
    result = run_pass(EqualizeChannels(channel_gains(trial.model, trial.feeds)), trial.model)
    if not result.changed:
        return trial
    ranges = calibrate(result.model, trial.feeds, trial.method)
    return replace(trial, model=result.model, ranges=ranges, equalized=result.rewrites)


def corrected(found: Quantized) -> Trial:
    """Biases give back what rounded weights lose on average."""
    trial = found.trial
    return replace(trial, corrections=bias_corrections(trial.model, found.result.model, trial.feeds))

"""What is done so that integers lose less, one after the other, where outputs then err less on the samples."""

from __future__ import annotations

from dataclasses import replace

from graphprune.calibration.biases import bias_corrections
from graphprune.calibration.gains import channel_gains
from graphprune.calibration.ranges import calibrate
from graphprune.calibration.trial import Quantized, Trial
from graphprune.passes.base import run_pass
from graphprune.passes.equalize_channels import EqualizeChannels


def repaired(found: Quantized) -> Quantized:
    """Equalize channels and then correct biases, each where that lowers the error of the outputs."""
    for attempt in (_equalized, _corrected):
        trial = attempt(found)
        other = found if trial is found.trial else trial.without(found.keep)
        found = other if other.error < found.error else found
    return found


def _equalized(found: Quantized) -> Trial:
    """Channels that one range holds badly get others."""
    trial = found.trial
    result = run_pass(EqualizeChannels(channel_gains(trial.model, trial.feeds)), trial.model)
    if not result.changed:
        return trial
    ranges = calibrate(result.model, trial.feeds, trial.method)
    return replace(trial, model=result.model, ranges=ranges, equalized=result.rewrites)


def _corrected(found: Quantized) -> Trial:
    """Biases give back what rounded weights lose on average."""
    trial = found.trial
    return replace(trial, corrections=bias_corrections(trial.model, found.result.model, trial.feeds))

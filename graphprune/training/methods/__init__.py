"""Methods of training masks, one file each."""

from graphprune.training.methods.base import WeightMask
from graphprune.training.methods.magnitude import GradualMask, OneShotMask
from graphprune.training.methods.pdp import SoftMask
from graphprune.training.methods.sr_ste import StraightThroughMask
from graphprune.training.methods.str import SoftThreshold

METHODS: dict[str, type[WeightMask]] = {
    "pdp": SoftMask,
    "gmp": GradualMask,
    "one-shot": OneShotMask,
    "str": SoftThreshold,
    "sr-ste": StraightThroughMask,
}
"""By the name that settings give."""

__all__ = [
    "METHODS",
    "GradualMask",
    "OneShotMask",
    "SoftMask",
    "SoftThreshold",
    "StraightThroughMask",
    "WeightMask",
]

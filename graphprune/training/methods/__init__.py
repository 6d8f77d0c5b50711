"""Methods of training masks, one file each."""

from graphprune.training.methods.base import ParameterMask, WeightMask
from graphprune.training.methods.channels import CHANNEL_METHODS, ChannelMask
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
    "CHANNEL_METHODS",
    "METHODS",
    "ChannelMask",
    "GradualMask",
    "OneShotMask",
    "ParameterMask",
    "SoftMask",
    "SoftThreshold",
    "StraightThroughMask",
    "WeightMask",
]

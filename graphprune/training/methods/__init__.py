"""Methods of training masks, one file each."""

from graphprune.training.methods.base import WeightMask
from graphprune.training.methods.pdp import SoftMask

METHODS: dict[str, type[WeightMask]] = {"pdp": SoftMask}
"""By the name that settings give."""

__all__ = ["METHODS", "SoftMask", "WeightMask"]

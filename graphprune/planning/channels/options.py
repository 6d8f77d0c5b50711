"""What a recipe says about channels, beside their share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from graphprune.planning.channels.plan import DEFAULT_CHANNEL_CRITERION, ChannelCriterionText
from graphprune.planning.documents import Document

CHANNEL = "channel"
"""The pattern of whole channels, in recipes."""


class ChannelOptions(Document):
    """How channels are chosen.

    Attributes:
        share_of: What the recipe's sparsity is a share of: `channels`, or `parameters` or `macs` (multiply-accumulates)
            of the whole model, for which the share of channels is solved.
        criterion: What a channel is worth: `l2`, `l1`, `batch-norm` or `random`; or, by what layers make of it on
            samples, `flap`, which compares all groups by what their channels cost unless a scope is said.
        round_to: Channels that stay are rounded up to a multiple of this, for the vectors of the hardware.
        min_kept: How many channels of a group stay at least.
        indices: Which outputs of a node or weight go, by its name, whatever the criterion says.
    """

    share_of: Literal["channels", "parameters", "macs"] = "channels"
    criterion: ChannelCriterionText = DEFAULT_CHANNEL_CRITERION
    round_to: int = Field(default=1, ge=1)
    min_kept: int = Field(default=1, ge=1)
    indices: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] = Field(default={})

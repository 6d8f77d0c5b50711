"""Which channels of a model can be removed together."""

from graphprune.analysis.channels.groups import ChannelGroup, ChannelSlice, channel_groups
from graphprune.analysis.channels.index_map import IndexMap

__all__ = ["ChannelGroup", "ChannelSlice", "IndexMap", "channel_groups"]

"""Coupled channels: which channels of a model can only be removed together, and which can be removed at all."""

from graphprune.analysis.channels.groups import ChannelGroup, ChannelSlice
from graphprune.analysis.channels.index_map import IndexMap
from graphprune.analysis.channels.layout import ChannelLayout, channel_groups, channel_layout

__all__ = ["ChannelGroup", "ChannelLayout", "ChannelSlice", "IndexMap", "channel_groups", "channel_layout"]

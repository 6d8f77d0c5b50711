"""The parameters that produce or carry planned channels, with the masks of their groups."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx_ir as ir
from torch import nn

from graphprune.analysis.channels import ChannelGroup, ChannelSlice
from graphprune.analysis.channels.values import channel_values, constant_values, read
from graphprune.errors import RecipeError
from graphprune.frontends.torch_origin import place_of
from graphprune.planning.channels.plan import ChannelPlan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.channels import CHANNEL_METHODS, ChannelCarrier, ChannelMask, ChannelPart
from graphprune.training.sites import Site, owners_of


def channel_sites(
    module: nn.Module, model: ir.Model, plan: PruningPlan, settings: TrainingSettings
) -> tuple[list[Site], tuple[ChannelMask, ...]]:
    """Make one mask a planned group, and one site for every parameter that has a part in it.

    Raises:
        RecipeError: The plan does not fit the model (GP324, GP379), a parameter has a parametrization or a carrier is
            no parameter of the module (GP702), or the method or criterion does not train channels (GP703).
    """
    resolved = plan.resolve_channels(model) if plan.channels else []
    masks = {group.name: _mask(planned, settings) for planned, group in resolved}
    parts: dict[str, list[tuple[ChannelMask, ChannelPart]]] = defaultdict(list)
    for _, group in resolved:
        for each in _live(module, model, group):
            parts[each.name].append((masks[group.name], ChannelPart.of(each)))
    sites, saved = {}, set[ChannelMask]()
    for name, shared in parts.items():
        owned = [mask for mask, _ in shared if mask not in saved]
        saved.update(owned)
        sites[name] = Site(name, owners_of(module, name), ChannelCarrier(shared, owned))
    for _, group in resolved:
        masks[group.name].producers = tuple((sites[each.name], ChannelPart.of(each)) for each in group.producers)
    return list(sites.values()), tuple(masks.values())


def _mask(planned: ChannelPlan, settings: TrainingSettings) -> ChannelMask:
    if settings.method not in CHANNEL_METHODS:
        expected = ", ".join(CHANNEL_METHODS)
        message = f"group '{planned.group}': method {settings.method} trains no channels, expected one of {expected}"
        raise RecipeError(message, code="GP703")
    return CHANNEL_METHODS[settings.method](planned, settings)


def _live(module: nn.Module, model: ir.Model, group: ChannelGroup) -> list[ChannelSlice]:
    """What makes or carries the channels, without carriers that only the exported graph has and that are zero there."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    values = constant_values(model)
    carriers = (
        each
        for each in group.carriers
        if place_of(module, each.name) in parameters or np.any(channel_values(each, read(values[each.name])))
    )
    return [*group.producers, *carriers]

"""Pruning plans: which weight of one particular model gets how many zeros. A plan is data that may be edited."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal, Self

import onnx_ir as ir
from pydantic import ModelWrapValidatorHandler, computed_field, model_validator

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.errors import RecipeError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.criteria import Magnitude
from graphprune.masks.patterns import NM, Unstructured, parse_pattern
from graphprune.planning.channels.plan import ChannelPlan, resolve_channels
from graphprune.planning.documents import Document, suggestion
from graphprune.planning.recipe import CriterionText, PatternText, Sparsity


class WeightPlan(Document):
    """What happens to one weight.

    Attributes:
        name: Of the initializer.
        shape: As the model stores it.
        output_axis: The axis that counts output features.
        input_axis: The axis that counts input channels.
        pattern: How zeros may be placed.
        criterion: What an element is worth.
        sparsity: The share of zeros, in [0, 1).
    """

    name: str
    shape: tuple[int, ...]
    output_axis: int
    input_axis: int
    pattern: PatternText = str(Unstructured())
    criterion: CriterionText = Magnitude.name
    sparsity: Sparsity

    @computed_field  # type: ignore[prop-decorator] # pydantic's documented use
    @cached_property
    def pruned(self) -> int:
        """The number of zeros; written into files to be read, and only checked when it is read back."""
        return parse_pattern(self.pattern).pruned_count(self.shape, self.axes, self.sparsity)

    @property
    def axes(self) -> WeightAxes:
        """Both axes together."""
        return WeightAxes(self.output_axis, self.input_axis)

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        rank = range(len(self.shape))
        if self.output_axis not in rank or self.input_axis not in rank or self.output_axis == self.input_axis:
            axes, shape = [self.output_axis, self.input_axis], list(self.shape)
            message = f"weight '{self.name}': axes {axes} of shape {shape}, expected two different ones"
            raise RecipeError(message, code="GP325")
        share = round(self.sparsity * math.prod(self.shape))
        if isinstance(parse_pattern(self.pattern), NM) and share != self.pruned:
            message = f"weight '{self.name}': pattern '{self.pattern}' makes {self.pruned} zeros, sparsity"
            raise RecipeError(f"{message} {self.sparsity:g} says {share}; edit the sparsity", code="GP325")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _check_count(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401
        stated = data.get("pruned") if isinstance(data, dict) else None
        if stated is None:
            return handler(data)
        made = handler({key: value for key, value in data.items() if key != "pruned"})
        if made.pruned != stated:
            message = f"weight '{made.name}': {stated} pruned, but sparsity {made.sparsity} makes {made.pruned}"
            raise RecipeError(f"{message}; edit the sparsity and leave 'pruned' out", code="GP325")
        return made


class PruningPlan(Document):
    """What `plan` decided for one model.

    Attributes:
        version: Of the file's form.
        model: Fingerprint of the model that the plan was made for.
        weights: One entry a weight, in graph order.
        channels: One entry a group of coupled channels.
    """

    version: Literal[1] = 1
    model: str
    weights: tuple[WeightPlan, ...] = ()
    channels: tuple[ChannelPlan, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if not self.weights and not self.channels:
            raise RecipeError("pruning plan: neither weights nor channels", code="GP325")
        named = {"weight": [weight.name for weight in self.weights], "group": [each.group for each in self.channels]}
        for kind, names in named.items():
            twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
            if twice is not None:
                raise RecipeError(f"pruning plan: {kind} '{twice}' is planned twice", code="GP325")
        return self

    def resolve_channels(self, model: ir.Model) -> list[tuple[ChannelPlan, ChannelGroup]]:
        """Return each entry of `channels` with its group in `model`.

        Raises:
            RecipeError: The plan was made for another model (GP324), or a group cannot be zeroed (GP379).
        """
        self._verify_model(model)
        return resolve_channels(self.channels, model)

    def resolve(self, model: ir.Model) -> list[tuple[WeightPlan, LinearWeight]]:
        """Return each weight of `weights` with its place in `model`.

        Raises:
            RecipeError: The plan was made for another model (GP324).
        """
        weights = {weight.name: weight for weight in linear_weights(model)[0]}
        for planned in self.weights:
            if planned.name not in weights:
                hint = suggestion(planned.name, weights)
                raise RecipeError(f"plan: the model has no prunable weight '{planned.name}'{hint}", code="GP324")
            shape = weights[planned.name].shape
            if planned.shape != shape:
                given, expected = list(shape), list(planned.shape)
                message = f"plan: weight '{planned.name}' has shape {given} in the model, expected {expected}"
                raise RecipeError(message, code="GP324")
            if planned.axes != weights[planned.name].axes:
                found_axes, axes = weights[planned.name].axes, planned.axes
                given, expected = [found_axes.output, found_axes.input], [axes.output, axes.input]
                message = f"plan: weight '{planned.name}' has axes {given} in the model, expected {expected}"
                raise RecipeError(message, code="GP324")
        self._verify_model(model)
        return [(planned, weights[planned.name]) for planned in self.weights]

    def _verify_model(self, model: ir.Model) -> None:
        found = fingerprint(linear_weights(model)[0])
        if found != self.model:
            raise RecipeError(f"plan: made for model {self.model}, this one is {found}", code="GP324")


def fingerprint(weights: Iterable[LinearWeight]) -> str:
    """Return what identifies a model to a plan: names, types and shapes of its weights, not their values.

    bfloat16 counts as float32, in which training plans it.
    """
    lines = sorted(f"{weight.name} {_type_name(weight.tensor.dtype)} {list(weight.shape)}" for weight in weights)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _type_name(dtype: ir.DataType) -> str:
    return (ir.DataType.FLOAT if dtype is ir.DataType.BFLOAT16 else dtype).name

"""Recipes: what a user wants pruned, and how much. A recipe names no shapes and fits any model."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from graphprune.errors import RecipeError
from graphprune.graph.arguments import is_path, wrong_type
from graphprune.masks.criteria import CRITERIA, Magnitude, parse_criterion
from graphprune.masks.patterns import FORMS, NM, Unstructured, parse_pattern
from graphprune.planning.channels.options import CHANNEL, ChannelOptions
from graphprune.planning.documents import Document
from graphprune.planning.training_settings import TrainingSettings

_REGEX = "re:"


def _as_tuple(value: object) -> object:
    """One name may be written without a list."""
    return (value,) if isinstance(value, str) else value


def _compilable(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if pattern.startswith(_REGEX):
            try:
                re.compile(pattern.removeprefix(_REGEX))
            except re.error as error:
                raise RecipeError(f"'{pattern}' is not a regular expression: {error}", code="GP320") from None
    return patterns


def _known_pattern(text: str) -> str:
    return str(parse_pattern(text))


def _known_recipe_pattern(text: str) -> str:
    return text if text == CHANNEL else _known_pattern(text)


def _known_criterion(text: str) -> str:
    return parse_criterion(text).name


def _pattern_schema(*names: str) -> dict[str, Any]:
    """Names and usual forms, which editors offer, or any other form."""
    offered = {
        "enum": [*names, str(Unstructured()), str(Unstructured(per_row=True)), "2:4", "1:4", "2:4x4", "block 4x1"]
    }
    return {"type": "string", "anyOf": [offered, *({"pattern": f"^{form.pattern}$"} for form in FORMS)]}


_NAMES_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

NamePatterns = Annotated[
    tuple[str, ...], BeforeValidator(_as_tuple), AfterValidator(_compilable), WithJsonSchema(_NAMES_SCHEMA)
]
PatternText = Annotated[str, AfterValidator(_known_pattern)]
RecipePatternText = Annotated[str, AfterValidator(_known_recipe_pattern), WithJsonSchema(_pattern_schema(CHANNEL))]
CriterionText = Annotated[
    str, AfterValidator(_known_criterion), WithJsonSchema({"type": "string", "enum": list(CRITERIA)})
]
Scope = Literal["layer", "row", "global"]
Sparsity = Annotated[float, Field(ge=0, lt=1, strict=True)]


class Rule(Document):
    """What differs for some weights; what is left out is as in the recipe.

    Attributes:
        targets: Which weights: names of weights, nodes or operators, with `*`, or regular expressions behind `re:`.
        sparsity: The share of zeros, in [0, 1).
        pattern: How zeros may be placed.
        scope: Over what the share is counted: `layer`, `row` or `global`.
        criterion: What a weight is worth.
    """

    targets: NamePatterns = Field(min_length=1)
    sparsity: Sparsity | None = None
    pattern: RecipePatternText | None = None
    scope: Scope | None = None
    criterion: CriterionText | None = None

    @model_validator(mode="after")
    def _check_share(self) -> Self:
        _verify_share(self.pattern, self.sparsity)
        return self


class Recipe(Document):
    """What is pruned and how much.

    A name pattern is a shell pattern, or a regular expression after `re:` that is matched from the start. It is held
    against the name of the weight, of the nodes that read it, and of their operator (`Conv`, `Gemm`, `MatMul`).

    Attributes:
        sparsity: The share of zeros, in [0, 1); may be left out where rules or an N:M pattern say it.
        pattern: How zeros may be placed: `unstructured`; `2:4`, keep 2 of 4 consecutive input channels; or
            `block 4x1`, whole blocks of 4 outputs by 1 input channel; or `channel`, whole channels of coupled groups.
        scope: Over what the share is counted: `layer`, each weight by itself; `row`, each of its outputs; or `global`,
            one threshold for all. Left out, it is `row` where the criterion is `wanda`, `global` where it is `flap`,
            else `layer`.
        min_kept: The share of each weight that stays where a scope is global, in [0, 1), rounded up to whole elements
            or units; other weights get the zeros instead.
        criterion: What a weight is worth: `magnitude`, or, by what it multiplies on samples, `wanda` or `sparsegpt`.
        targets: Which weights are pruned; empty for all prunable ones.
        ignore: Which of them are not.
        rules: Exceptions. The first rule that names a weight holds for it; the weights of one rule make a scope of
            their own.
        channels: How channels are chosen, with the pattern `channel`.
        training: How masks are trained, where they are.
    """

    sparsity: Sparsity | None = None
    pattern: RecipePatternText = str(Unstructured())
    scope: Scope | None = None
    min_kept: Sparsity = 0.0
    criterion: CriterionText = Magnitude.name
    targets: NamePatterns = ()
    ignore: NamePatterns = ()
    rules: tuple[Rule, ...] = ()
    channels: ChannelOptions = ChannelOptions()
    training: TrainingSettings | None = None

    @property
    def of_channels(self) -> bool:
        """Whether whole channels go."""
        return self.pattern == CHANNEL

    @model_validator(mode="after")
    def _check_share(self) -> Self:
        _verify_share(self.pattern, self.sparsity)
        return self

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        """Channels and single weights are two recipes; a budget of the whole model is shared out once."""
        for rule in self.rules:
            if rule.pattern is not None and (rule.pattern == CHANNEL) != self.of_channels:
                message = f"recipe: pattern '{self.pattern}' and a rule with '{rule.pattern}'"
                raise RecipeError(f"{message}; prune channels with a recipe of their own", code="GP337")
            if rule.sparsity is not None and self.channels.share_of != "channels":
                message = f"recipe: a rule has a sparsity, which is a share of all {self.channels.share_of}"
                raise RecipeError(f"{message}; leave one of them out", code="GP337")
        if not self.of_channels and self.channels != ChannelOptions():
            message = f"recipe: options of channels with pattern '{self.pattern}', expected '{CHANNEL}'"
            raise RecipeError(message, code="GP337")
        return self


def _verify_share(pattern: str | None, sparsity: float | None) -> None:
    """An N:M pattern fixes the share of zeros; another one beside it cannot be meant."""
    fixed = parse_pattern(pattern) if pattern not in {None, CHANNEL} else None
    if isinstance(fixed, NM) and sparsity is not None and not math.isclose(sparsity, fixed.sparsity, abs_tol=1e-3):
        reason = f"keeps {fixed.keep} of {fixed.of}, a sparsity of {fixed.sparsity:g}, but sparsity is {sparsity:g}"
        raise RecipeError(f"pattern '{fixed}' {reason}; leave it out", code="GP336")


def check_recipe(function: str, given: object) -> None:
    """Refuse what is given to a public function as a recipe and is none.

    Raises:
        InputError: It is not a `Recipe` (GP536).
    """
    if not isinstance(given, Recipe):
        hint = "read it with Recipe.load(path)" if is_path(given) else "make one with Recipe(sparsity=0.9, ...)"
        raise wrong_type(function, "recipe", given, "a graphprune.Recipe", hint)


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Return whether a name pattern fits one of `names`; a name always fits itself, whatever characters it has."""
    if pattern.startswith(_REGEX):
        regex = re.compile(pattern.removeprefix(_REGEX))
        return any(regex.match(name) for name in names)
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in names)

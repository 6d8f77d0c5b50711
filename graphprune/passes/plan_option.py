"""Passes that follow a pruning plan: how the plan is written in their text form, and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from graphprune.errors import InputError
from graphprune.passes.base import Pass
from graphprune.planning.pruning_plan import PruningPlan


@dataclass(frozen=True)
class PlanPass(Pass):
    """A pass whose first option is a plan; in text form the plan is JSON, or the name of a file that holds it.

    Attributes:
        plan: What happens to each weight.
    """

    plan: PruningPlan

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, the plan as JSON values."""
        return {**super().options(), "plan": self.plan.model_dump(mode="json")}

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make the pass from options whose plan is JSON values, or the name of a file that holds one.

        Raises:
            InputError: There is no plan, or something else (GP243).
            RecipeError: The plan is wrong (GP320, GP325).
        """
        plan = options.get("plan")
        if isinstance(plan, str):
            plan = PruningPlan.load(plan)
        elif isinstance(plan, dict):
            plan = PruningPlan(**plan)
        elif plan is not None:
            raise InputError(f"{cls.name}: option 'plan' is {plan!r}, expected a plan or a file", code="GP243")
        return super().from_options({**options, "plan": plan} if plan is not None else options)

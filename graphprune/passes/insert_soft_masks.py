"""Insert soft masks between planned weights and their readers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import onnx_ir as ir

from graphprune.analysis.weights import LinearWeight
from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.graph.functions import DOMAIN
from graphprune.graph.nodes import nested_nodes
from graphprune.masked.calls import SCALARS, call_form, find_defect, wide_type
from graphprune.masked.functions import define
from graphprune.masks.criteria import WeightValues, parse_criterion
from graphprune.masks.patterns import NM, Unstructured, parse_pattern
from graphprune.masks.temperature import Temperature, parse_temperature
from graphprune.passes.base import Equivalence, PassOutcome, mark
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.plan_option import PlanPass
from graphprune.passes.rewriting import new_initializer
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class InsertSoftMasks(PlanPass):
    """Let all readers of each planned weight read `m * w`, with the soft mask of PDP (arXiv 2305.11203).

    The weight stays as it is, under its name. Beside it are three scalars, which a schedule may change: the budget (its
    final share of zeros, from the plan), the ratio (how far the ramp is) and the temperature. The call's function is
    standard ONNX, so any runtime can run the file. A shared weight gets one mask. With ratio 0 the model computes bit
    for bit what it did.

    Run: insert-soft-masks{plan={"model":"b3b7e160198676cf","weights":[{"name":"w","shape":[2,2],"output_axis":1,"input_axis":0,"sparsity":0.5}]} temperature=2}

    Before::

        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {4, -1, 1, 3}> {
            y = MatMul (x, w)
        }

    After::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,2] w = {4, -1, 1, 3}, double w_budget = {0.5}, double w_ratio = {1}, float w_temperature = {2}
        > {
            [w_mask] w_masked = graphprune.UnstructuredSoftMask <relative = 0> (w, w_budget, w_ratio, w_temperature)
            y = MatMul (x, w_masked)
        }

    Reference::

        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {3.9901095, -0.18242552, 0.18242552, 2.7724255}> {
            y = MatMul (x, w)
        }

    Raises: GP323 a weight holds NaN or an infinity, GP353 integers, GP324 the plan is for another model, GP322, GP329 an edited
        plan does not fit its weight, GP368 the plan has channels or shared N:M masks, GP369 `ratio` out of range, GP328 no temperature,
        GP365 an operator set older than 15.

    Attributes:
        temperature: As `parse_temperature` reads it: `1e-4`, or `0.1t2` for a tenth of the squared threshold.
        ratio: How far the ramp is, in [0, 1]; at 0 the masks are one.
    """  # noqa: E501 - the text form of a plan

    name: ClassVar[str] = "insert-soft-masks"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE})
    produces: ClassVar[Stage | None] = Stage.MASKED
    equivalence: ClassVar[Equivalence] = Equivalence.MASKED
    temperature: str = "1e-4"
    ratio: float = 1.0

    def __post_init__(self) -> None:
        parse_temperature(self.temperature)
        if not 0 <= self.ratio <= 1:
            raise InputError(f"{self.name}: ratio is {self.ratio:g}, expected 0 to 1", code="GP369")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make the pass from its options; a temperature may be written as a number."""
        temperature = options.get("temperature")
        is_number = isinstance(temperature, int | float)
        return super().from_options({**options, "temperature": str(temperature)} if is_number else options)

    def apply(self, model: ir.Model) -> PassOutcome:
        """Insert mask by mask; refuse before anything is changed."""
        if self.plan.channels:
            group = self.plan.channels[0].group
            message = f"{self.name}: the plan has channels (group '{group}'), which have no soft mask in a graph"
            raise PreconditionError(message, code="GP368")
        found = self.plan.resolve(model)
        for planned, weight in found:
            _verify_weight(self.name, planned, weight)
        inserter = _Inserter(self, model, FreshNames(model), parse_temperature(self.temperature))
        return PassOutcome(tuple(inserter.insert(planned, weight) for planned, weight in found))


def _verify_weight(name: str, planned: WeightPlan, weight: LinearWeight) -> None:
    pattern = parse_pattern(planned.pattern)
    if pattern == Unstructured(per_row=True) or (isinstance(pattern, NM) and pattern.outputs > 1):
        message = f"{name}: weight '{weight.name}' has pattern '{pattern}', which has no soft mask in a graph"
        raise PreconditionError(message, code="GP368")
    if weight.quantization is not None:
        reason = f"it holds {weight.tensor.dtype.name.lower()}, which cannot be trained"
        raise RecipeError(f"weight '{weight.name}' cannot be masked: {reason}", code="GP353")
    defect = find_defect(pattern, planned.axes, weight.shape, planned.sparsity)
    if defect is not None:
        unfit = pattern.defect(weight.shape, planned.axes) or pattern.uneven(weight.shape, planned.axes)
        code = "GP329" if unfit else "GP322"
        raise RecipeError(f"weight '{weight.name}' cannot be masked: it has {defect}", code=code)
    values = WeightValues(weight.name, weight.tensor.numpy())
    parse_criterion(planned.criterion).score(values)  # raises if it is not finite


@dataclass
class _Inserter:
    """Inserts the mask of one weight."""

    pass_: InsertSoftMasks
    model: ir.Model
    names: FreshNames
    temperature: Temperature

    def insert(self, planned: WeightPlan, weight: LinearWeight) -> Rewrite:
        function, attributes = call_form(parse_pattern(planned.pattern), planned.axes)
        define(self.model, function)
        scalars = self._scalars(planned, weight)
        attributes = {"relative": int(self.temperature.relative), **attributes}
        call = ir.node(function, [weight.value, *scalars], attributes, domain=DOMAIN, name=f"{weight.name}_mask")
        call.outputs[0].name = self.names.take(f"{weight.name}_masked")
        mark(call, self.pass_)
        uses = [use for use in weight.value.uses() if use.node is not call]
        _insert_before_readers(weight.value.graph, {use.node for use in uses}, call)
        for use in uses:
            use.node.replace_input_with(use.idx, call.outputs[0])
        goes = f"{planned.pruned} of {weight.tensor.size} elements are to go"
        detail = f"{goes} ({planned.pattern}, ratio {self.pass_.ratio:g}, temperature {self.temperature})"
        return Rewrite("soft-mask", weight.name, detail)

    def _scalars(self, planned: WeightPlan, weight: LinearWeight) -> list[ir.Value]:
        values = (planned.sparsity, self.pass_.ratio, self.temperature.value)
        dtypes = (ir.DataType.DOUBLE, ir.DataType.DOUBLE, wide_type(weight.tensor.dtype))
        made = []
        for scalar, value, dtype in zip(SCALARS, values, dtypes, strict=True):
            name = self.names.take(f"{weight.name}_{scalar}")
            tensor = ir.tensor(np.array(value, dtype.numpy()), name=name)
            made.append(new_initializer(self.model.graph, name, tensor))
        return made


def _insert_before_readers(graph: ir.Graph | ir.Function | None, readers: AbstractSet[ir.Node], call: ir.Node) -> None:
    """Insert `call` in the graph of the weight, where the subgraphs that read it see it too."""
    assert isinstance(graph, ir.Graph)  # weights are of no function
    graph.insert_before(next(node for node in graph if not readers.isdisjoint((node, *nested_nodes(node)))), call)

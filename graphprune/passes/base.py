"""The pass contract: what a pass declares, and the runner that checks it.

A pass is a frozen dataclass whose fields are its options. It works on a clone that the runner made, replaces tensors
instead of writing into them, and reports what it did and what it refused; whether it changed anything is measured.
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar, Self

import onnx_ir as ir

from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError, PostconditionError, PreconditionError, UnsupportedModelError
from graphprune.graph.arguments import check_model
from graphprune.graph.nodes import describe
from graphprune.graph.opaque import is_opaque
from graphprune.passes.fingerprint import fingerprint
from graphprune.passes.interface import verify_interface
from graphprune.passes.shape_inference import infer_shapes
from graphprune.passes.structure import verify_scopes
from graphprune.passes.text_form import write_form
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.stages.verification import verify_stage

ChannelMap = Mapping[str, tuple[int, ...]]
"""Value name, or `name[axis]` where several axes have channels -> for each that is left, its index before the pass."""

REGISTRY: dict[str, type[Pass]] = {}
"""The passes whose classes were made so far, by name; `graphprune.passes.registry` has them all."""


class Equivalence(StrEnum):
    """What a pass promises about the numbers, and so which oracle judges it.

    `EXACT`: bitwise equal. `REASSOCIATED`: equal up to the order of floating-point operations. `MASKED`: equal to the
    input model with its masks applied. `LOSSY`: another function on purpose.
    """

    EXACT = "exact"
    REASSOCIATED = "reassociated"
    MASKED = "masked"
    LOSSY = "lossy"


@dataclass(frozen=True)
class PassOutcome:
    """What `Pass.apply` reports: its rewrites, the sites it refused, and where channels went."""

    rewrites: tuple[Rewrite, ...] = ()
    skips: tuple[Skip, ...] = ()
    channel_map: ChannelMap | None = None


@dataclass(frozen=True)
class PassResult:
    """What running a pass gave: a new model, whether it differs from the input (measured), and the pass's report."""

    model: ir.Model
    changed: bool
    rewrites: tuple[Rewrite, ...] = ()
    skips: tuple[Skip, ...] = ()
    channel_map: ChannelMap | None = None


@dataclass(frozen=True)
class Pass(abc.ABC):
    """One rewriting of a model.

    A subclass is a frozen dataclass: its fields are its options. Giving it a `name` registers it for `parse_pass`.

    Attributes:
        name: Its text form without options, in kebab-case.
        consumes: The stages it accepts.
        produces: The stage it leaves the model in; None keeps the stage.
        equivalence: Its promise about the numbers.
        changes_interface: Whether names, types or ranks of the graph's inputs and outputs may change.
    """

    name: ClassVar[str]
    consumes: ClassVar[frozenset[Stage]]
    produces: ClassVar[Stage | None] = None
    equivalence: ClassVar[Equivalence]
    changes_interface: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    @abc.abstractmethod
    def apply(self, model: ir.Model) -> PassOutcome:
        """Rewrite `model` in place; never write into a tensor, replace it."""

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, as JSON values."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        }

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make the pass from what `options` returned.

        Raises:
            InputError: An option is unknown or missing (GP243).
        """
        known = {field.name: field for field in fields(cls)}
        for name in options:
            if name not in known:
                raise InputError(f"{cls.name}: unknown option '{name}', expected one of {sorted(known)}", code="GP243")
        for name, field in known.items():
            if name not in options and field.default is MISSING and field.default_factory is MISSING:
                raise InputError(f"{cls.name}: option '{name}' is missing", code="GP243")
        return cls(**{name: _frozen(value) for name, value in options.items()})

    def __str__(self) -> str:
        return write_form(self.name, self.options())


def run_pass(pass_: Pass, model: ir.Model, *, verify: bool = True) -> PassResult:
    """Run `pass_` on a clone of `model`, and check that it kept its contract.

    Args:
        pass_: The pass.
        model: Left untouched, whatever happens.
        verify: Also check the stage's table of legal forms before and after, and the interface after.

    Returns:
        The rewritten clone with freshly inferred shapes; `changed` is measured.

    Raises:
        InputError: `model` is no model (GP536).
        PreconditionError: The model is in a stage that the pass does not accept (GP255).
        UnsupportedModelError: `model` itself is not sound.
        PostconditionError: The pass left an unsound graph (GP271), changed the interface (GP272) or left forms that
            the stage does not allow (GP273).
    """
    check_model(pass_.name, model)
    _verify_input(pass_, model, verify=verify)
    clone = clone_apart(model)
    outcome = pass_.apply(clone)
    if pass_.produces is not None:
        set_stage(clone, pass_.produces)
    _infer_output(pass_, model, clone)
    if verify:
        _verify_output(pass_, model, clone)
    changed = fingerprint(model) != fingerprint(clone)
    return PassResult(clone, changed, outcome.rewrites, outcome.skips, outcome.channel_map)


def mark(node: ir.Node, pass_: Pass) -> None:
    """Record on `node` which pass made or changed it; the record survives serialisation."""
    node.metadata_props["graphprune.pass"] = pass_.name


def refuse(code: str, node: ir.Node, reason: str) -> Skip:
    """Return the `Skip` of a site at `node`."""
    return Skip(code, node.name or describe(node), reason)


def _verify_input(pass_: Pass, model: ir.Model, *, verify: bool) -> None:
    stage = get_stage(model)
    if stage not in pass_.consumes:
        expected = " or ".join(sorted(pass_.consumes))
        raise PreconditionError(f"{pass_.name}: model is in stage {stage}, expected {expected}", code="GP255")
    verify_scopes(model)
    if verify:
        verify_stage(model)


def clone_apart(model: ir.Model) -> ir.Model:
    """Clone `model` with types of its own: onnx_ir shares them, and `value.dtype = ...` writes into them."""
    clone = model.clone()
    for graph in clone.graphs():
        produced = (value for node in graph for value in node.outputs)
        for value in (*graph.inputs, *graph.initializers.values(), *produced):
            value.type = copy.deepcopy(value.type)
    return clone


def _infer_output(pass_: Pass, model: ir.Model, clone: ir.Model) -> None:
    try:
        infer_shapes(clone)
    except UnsupportedModelError as error:
        infer_shapes(model.clone())  # raises if it is the input that is unsound
        raise PostconditionError(f"{pass_.name}: the pass left an unsound graph: {error}", code="GP271") from error


def _verify_output(pass_: Pass, model: ir.Model, clone: ir.Model) -> None:
    try:
        verify_stage(clone)
    except UnsupportedModelError as error:
        raise PostconditionError(f"{pass_.name}: the pass left an illegal form: {error}", code="GP273") from error
    if not pass_.changes_interface:
        verify_interface(pass_.name, model, clone)
    _verify_operators(pass_, model, clone)


def _verify_operators(pass_: Pass, model: ir.Model, clone: ir.Model) -> None:
    known = {node.op_identifier() for node in model.graph.all_nodes()}
    for node in clone.graph.all_nodes():
        if node.op_identifier() not in known and is_opaque(clone, node):
            what = f"an unsound graph: nothing defines the operator of {describe(node)}"
            raise PostconditionError(f"{pass_.name}: the pass left {what}", code="GP271")


def _frozen(value: object) -> object:
    """Turn JSON lists into tuples, so that options are hashable."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value

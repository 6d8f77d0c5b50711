"""Operators that work on one element, or on one element of each operand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.equations import Role
from graphprune.analysis.channels.joining import Combine, join
from graphprune.analysis.channels.site import Site
from graphprune.analysis.channels.state import UNKNOWN, FloatArray, State

Rule = Callable[[Site], list[State]]


def multiplied(*operands: FloatArray) -> FloatArray:
    """A product is zero where one factor is; the others are taken to be finite."""
    product: FloatArray = np.asarray(1.0)
    for each in operands:
        product = np.where((product == 0) | (each == 0), 0.0, product * each)
    return product


def added(*operands: FloatArray) -> FloatArray:
    """A sum; one that only cancels out is not known to be zero, as exp(0) - 1 may not be."""
    total = sum(operands, np.asarray(0.0))
    zero = np.logical_and.reduce(np.broadcast_arrays(*(each == 0 for each in operands)))
    return np.where((total == 0) & ~zero, UNKNOWN, total)


def _sloped(one: FloatArray, slope: FloatArray) -> FloatArray:
    return np.where(one >= 0, one, multiplied(one, slope))


def _subtracted(one: FloatArray, other: FloatArray) -> FloatArray:
    return added(one, -other)


def _divided(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.divide(one, np.where(other == 0, UNKNOWN, other))


def same_or_unknown(*operands: FloatArray) -> FloatArray:
    """Keep what all operands have in common."""
    first, *others = np.broadcast_arrays(*operands)
    same = np.logical_and.reduce([first == other for other in others]) if others else np.ones(first.shape, bool)
    return np.where(same, first, UNKNOWN)


def _chosen(_condition: FloatArray, one: FloatArray, other: FloatArray) -> FloatArray:
    return same_or_unknown(one, other)


def _extreme(choose: np.ufunc) -> Combine:
    return lambda *operands: np.asarray(choose.reduce(np.broadcast_arrays(*operands)))


def _averaged(*operands: FloatArray) -> FloatArray:
    return added(*operands) / len(operands)


def _unknown(*operands: FloatArray) -> FloatArray:
    return np.full(np.broadcast_shapes(*(each.shape for each in operands)), UNKNOWN)


def _binary(combine: Combine, *roles: Role, kept: float = UNKNOWN) -> Rule:
    """A rule for operands that broadcast.

    Args:
        combine: What becomes of masked values.
        roles: Of operands that are constants, the last one for all that follow.
        kept: What a constant holds that is not masked.
    """

    def rule(site: Site) -> list[State]:
        operands = [site.input(index) for index in range(len(site.inputs))]
        if not all(operand.is_constant for operand in operands):
            for index, operand in enumerate(operands):
                role = roles[min(index, len(roles) - 1)]
                site.mark(operand, role)
                if role is Role.COMPANION and operand.is_constant:
                    operands[index] = site.holding(operand, kept)
        rank = len(site.output())
        return [join(site, [operand.aligned(rank) for operand in operands], combine)]

    return rule


def _unary(function: Callable[[FloatArray], FloatArray]) -> Rule:
    return lambda site: [mapped(site, site.input(0), function)]


def mapped(site: Site, state: State, function: Callable[[FloatArray], FloatArray]) -> State:
    """Apply a function of one variable."""
    factors = tuple(factor.becomes(function(factor.at), site.node) for factor in state.factors)
    known = UNKNOWN if state.scalar is None else float(function(np.array(state.scalar, np.float64)))
    return State(state.extents, factors, state.is_constant, known if np.isfinite(known) else None)


def _zero_to_zero(at: FloatArray) -> FloatArray:
    return np.where(at == 0, 0.0, UNKNOWN)


def _erf(at: FloatArray) -> FloatArray:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(at))


def _gelu(site: Site) -> list[State]:
    if site.node.attributes.get_string("approximate", "none") != "none":
        return [mapped(site, site.input(0), _zero_to_zero)]
    return [mapped(site, site.input(0), lambda at: at * (1 + _erf(at / np.sqrt(2))) / 2)]


def _leaky(site: Site) -> list[State]:
    alpha = _number(site.node, "alpha", 0.01)
    return [mapped(site, site.input(0), lambda at: np.where(at < 0, alpha * at, at))]


def _sigmoid(at: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-at))


def _hard_sigmoid(site: Site) -> list[State]:
    alpha, beta = (_number(site.node, name, value) for name, value in (("alpha", 0.2), ("beta", 0.5)))
    return [mapped(site, site.input(0), lambda at: np.clip(alpha * at + beta, 0.0, 1.0))]


def _clip(site: Site) -> list[State]:
    low, high = _bound(site, 1, "min", -np.inf), _bound(site, 2, "max", np.inf)
    return [mapped(site, site.input(0), lambda at: np.minimum(np.maximum(at, low), high))]


def _bound(site: Site, index: int, name: str, default: float) -> float:
    if site.has(index):
        scalar = site.input(index).scalar
        return UNKNOWN if scalar is None else scalar
    return _number(site.node, name, default)


def _number(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes.get_float(name, default))


def _dropout(site: Site) -> list[State]:
    state = site.input(0)
    return [mapped(site, state, _zero_to_zero), mapped(site, state, _unknown)][: len(site.node.outputs)]


_ZERO_STAYS = [
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Cast",
    "Ceil",
    "Celu",
    "Elu",
    "Floor",
    "Mish",
    "Round",
    "Selu",
    "Sign",
    "Sin",
    "Sinh",
    "Softsign",
    "Swish",
    "Tan",
    "ThresholdedRelu",
]
_VALUE_IS_OPEN = "Acos Acosh IsInf IsNaN Log Not BitwiseNot Shrink".split()  # noqa: SIM905
_OPEN_PAIRS = (
    "And Or Xor Equal Greater GreaterOrEqual Less LessOrEqual BitwiseAnd BitwiseOr BitwiseXor Mod".split()  # noqa: SIM905
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ZERO_STAYS, _unary(_zero_to_zero)),
    **dict.fromkeys(_VALUE_IS_OPEN, _unary(_unknown)),
    **dict.fromkeys(_OPEN_PAIRS, _binary(_unknown, Role.CARRIER)),
    "Abs": _unary(np.abs),
    "Clip": _clip,
    "Cos": _unary(np.cos),
    "Cosh": _unary(np.cosh),
    "Dropout": _dropout,
    "Erf": _unary(_erf),
    "Exp": _unary(np.exp),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(lambda at: at * np.clip(at / 6 + 0.5, 0.0, 1.0)),
    "Identity": _unary(np.array),
    "LeakyRelu": _leaky,
    "Neg": _unary(np.negative),
    "Reciprocal": _unary(lambda at: _divided(np.asarray(1.0), at)),
    "Relu": _unary(lambda at: np.maximum(at, 0.0)),
    "Sigmoid": _unary(_sigmoid),
    "Softplus": _unary(lambda at: np.log1p(np.exp(at))),
    "Sqrt": _unary(lambda at: np.sqrt(np.where(at >= 0, at, UNKNOWN))),
    "Tanh": _unary(np.tanh),
    "Add": _binary(added, Role.CARRIER),
    "Div": _binary(_divided, Role.CARRIER, Role.COMPANION, kept=1.0),
    "Max": _binary(_extreme(np.maximum), Role.CARRIER),
    "Mean": _binary(_averaged, Role.CARRIER),
    "Min": _binary(_extreme(np.minimum), Role.CARRIER),
    "Mul": _binary(multiplied, Role.CARRIER),
    "PRelu": _binary(_sloped, Role.CARRIER, Role.COMPANION),
    "Pow": _binary(lambda one, other: np.where((one == 0) & (other > 0), 0.0, UNKNOWN), Role.CARRIER, Role.COMPANION),
    "Sub": _binary(_subtracted, Role.CARRIER),
    "Sum": _binary(added, Role.CARRIER),
    "Where": _binary(_chosen, Role.CARRIER),
}

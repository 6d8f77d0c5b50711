"""What every rewrite of an operator of ONNX Runtime says, and the little that they share."""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass

import onnx

from graphprune.passes.definition import Attribute, Define, Definition

OPEN = "types or shapes of its inputs are not known"


class CannotRewriteError(Exception):
    """The rewrite does not cover this node.

    Attributes:
        code: Of the kind of reason.
        why: The reason.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True)
class Contrib:
    """The rewrite of an operator.

    Attributes:
        define: Completes the body for a node.
        attributes: Those that it considers.
        inputs: The positions that it considers; an input elsewhere is refused.
        outputs: The positions that it computes.
        is_static: Whether it depends on extents, and must wait until none is open.
    """

    define: Define
    attributes: frozenset[str]
    inputs: Container[int]
    outputs: Container[int] = frozenset({0})
    is_static: bool = True


ANY_NUMBER = sys.maxsize
"""Of inputs."""


def any_shape(define: Define, attributes: str = "", inputs: int = 1, outputs: tuple[int, ...] = (0,)) -> Contrib:
    """A rewrite that depends on no extent, with these attributes and first inputs."""
    return Contrib(define, names(attributes), range(inputs), outputs, is_static=False)


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def kept(define: Definition, attributes: str) -> dict[str, Attribute]:
    """Those of the node's attributes that its rewrite passes on."""
    given = define.node.attributes
    return {name: given[name].value for name in names(attributes) if name in given}


def finish(define: Definition, outputs: Mapping[int, str]) -> onnx.FunctionProto:
    """The body that returns these outputs by position; another one, which nothing reads, is any of them."""
    return define.finish(*(outputs.get(index, outputs[0]) for index in range(len(define.node.outputs))))


def rank(define: Definition, index: int = 0) -> int:
    """The rank of an input, whose extents may be open."""
    value = define.node.inputs[index]
    if value is None or value.shape is None:
        raise CannotRewriteError("GP158", OPEN)
    return value.shape.rank()


def unsupported(what: str) -> CannotRewriteError:
    """The error for a value of an attribute, or a shape of an input, that a rewrite does not know."""
    return CannotRewriteError("GP157", what)

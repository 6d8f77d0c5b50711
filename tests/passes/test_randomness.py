"""What draws numbers is no constant."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.passes.base import run_pass
from graphprune.passes.fold_constants import FoldConstants
from graphprune.passes.randomness import is_random

HEADER = '<ir_version: 10, opset_import: ["" : 20]> '


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = RandomNormalLike(w)", True),
        ("y = Neg(w)", False),
        ("y = Dropout(w)", False),
        ("y = Dropout(w, r)", False),
        ("y = Dropout(w, r, on)", True),
        ("y = Dropout(w, r, off)", False),
        ("y = Dropout(w, r, t)", True),
    ],
)
def test_what_is_random_is_not_folded(body: str, *, expected: bool) -> None:
    constants = "float[2] w = {1.0, 2.0}, float r = {0.5}, bool on = {1}, bool off = {0}"
    model = ir.from_onnx_text(
        f"{HEADER} g (bool t, float[2] x) => (float[2] z) <{constants}> {{ {body} z = Add(x, y) }}"
    )
    node, _ = model.graph
    assert is_random(node) is expected
    assert run_pass(FoldConstants(), model).changed is not expected


def test_operators_of_other_domains_are_not_known_to_be() -> None:
    text = (
        HEADER.replace('"" : 20', '"" : 20, "own" : 1') + "g (float[2] x) => (float[2] y) { y = own.RandomNormal(x) }"
    )
    (node,) = ir.from_onnx_text(text).graph
    assert not is_random(node)

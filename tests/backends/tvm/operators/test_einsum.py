from __future__ import annotations

import pytest

from tests.backends.tvm.graphs import assert_equal, compile_, kernels, parse

PRODUCTS = {
    "matrices": ("float[5,7] a, float[7,9] b", "float[5,9]", "ij,jk->ik"),
    "a transposed result": ("float[5,7] a, float[7,9] b", "float[9,5]", "ij,jk->ki"),
    "attention scores": ("float[2,5,3,8] a, float[2,6,3,8] b", "float[2,3,5,6]", "bqhd,bkhd->bhqk"),
    "attention values": ("float[2,3,5,6] a, float[2,6,3,8] b", "float[2,5,3,8]", "bhqk,bkhd->bqhd"),
    "channels of an image": ("float[2,4,3,5] a, float[4,7] b", "float[2,7,3,5]", "bchw,cd->bdhw"),
    "a matrix and a vector": ("float[5,7] a, float[7] b", "float[5]", "ij,j->i"),
    "a vector and a matrix": ("float[7] a, float[7,9] b", "float[9]", "j,jk->k"),
    "two axes summed": ("float[5,3,4] a, float[3,4,6] b", "float[5,6]", "iab,abj->ij"),
    "two axes summed in another order": ("float[5,3,4] a, float[4,3,6] b", "float[5,6]", "iab,baj->ij"),
    "a batch that is the last axis": ("float[1,7,5,3] a, float[1,5,9,3] b", "float[1,7,9,3]", "bijh,bjkh->bikh"),
    "an ellipsis": ("float[2,3,5,7] a, float[2,3,7,9] b", "float[2,3,5,9]", "...ij,...jk->...ik"),
    "no result given": ("float[5,7] a, float[7,9] b", "float[5,9]", "ij,jk"),
    "doubles": ("double[2,5,7] a, double[2,7,9] b", "double[2,5,9]", "bij,bjk->bik"),
    "integers": ("int32[5,7] a, int32[7,9] b", "int32[5,9]", "ij,jk->ik"),
    "half precision": ("float16[5,7] a, float16[7,9] b", "float16[5,9]", "ij,jk->ik"),
}

SUMS = {
    "a diagonal": ("float[4,4] a, float[4] b", "float[4]", "ii,i->i"),
    "a sum of one operand": ("float[5,7] a, float[7,9] b", "float[5]", "ij,jk->i"),
    "an outer product": ("float[5] a, float[7] b", "float[5,7]", "i,j->ij"),
    "elements": ("float[5,7] a, float[5,7] b", "float[5,7]", "ij,ij->ij"),
    "dot products": ("float[2,5,7] a, float[2,5,7] b", "float[2,5]", "bnd,bnd->bn"),
    "an operand that repeats": ("float[1,5,7] a, float[2,7,9] b", "float[2,5,9]", "...ij,...jk->...ik"),
    "three operands": ("float[5,7] a, float[7,9] b, float[9,3] c", "float[5,3]", "ij,jk,kl->il"),
    "all of it": ("float[5,7] a, float[5,7] b", "float", "ij,ij->"),
}


def graph(case: tuple[str, str, str]) -> str:
    inputs, output, equation = case
    names = ",".join(part.split()[-1] for part in inputs.split(", "))
    return f'g ({inputs}) => ({output} y) {{ y = Einsum<equation="{equation}">({names}) }}'


@pytest.mark.parametrize("name", [*PRODUCTS, *SUMS])
def test_equals_onnxruntime(name: str) -> None:
    model = parse(graph((PRODUCTS | SUMS)[name]))
    assert_equal(compile_(model), model)


def test_matrices_without_neighbours_are_turned_first() -> None:
    model = parse(graph(PRODUCTS["a batch that is the last axis"]))
    assert kernels(model) == ["copy", "copy", "einsum", "copy"]


@pytest.mark.parametrize(
    ("name", "count"),
    [("attention scores", 1), ("attention values", 2), ("channels of an image", 1), ("two axes summed", 1)],
)
def test_a_product_reads_its_operands_where_they_lie(name: str, count: int) -> None:
    """Only a result in another order than it is computed in is copied."""
    assert kernels(parse(graph(PRODUCTS[name]))) == ["einsum", "copy"][:count]

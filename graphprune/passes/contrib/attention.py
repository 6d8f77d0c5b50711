"""Attention in the forms that transformers are optimised to, and rotary position embeddings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from graphprune.passes.contrib.contrib import Contrib, finish, names, unsupported
from graphprune.passes.definition import Definition


def _attention(define: Definition) -> onnx.FunctionProto:
    """Self-attention: query, key and value are one product with packed weights [input, 3 * hidden]."""
    packed = define("MatMul", *define.inputs[:2])
    packed = define("Add", packed, define.inputs[2]) if define.has(2) else packed
    return _self_attend(define, packed, (3, 5))


def _quantized_attention(define: Definition) -> onnx.FunctionProto:
    """The same with a product of integers; inputs: X, weight, bias, scales, mask, zero points."""
    zeros = [define.inputs[index] if define.has(index) else "" for index in (6, 7)]
    total = define.cast(define("MatMulInteger", *define.inputs[:2], *zeros), np.float32)
    packed = define("Add", define("Mul", total, define("Mul", *define.inputs[3:5])), define.inputs[2])
    return _self_attend(define, packed, (5,))


def _self_attend(define: Definition, packed: str, extra: tuple[int, ...]) -> onnx.FunctionProto:
    """Attention of the parts of a value [batch, length, query + key + value] to each other."""
    given = define.node.attributes
    if given.get_int("do_rotary", 0):
        raise unsupported("attribute 'do_rotary' is set")
    width = define.shape(1)[1]
    sizes = list(given.get_ints("qkv_hidden_sizes", ())) or [width // 3] * 3
    ends = np.cumsum(sizes).tolist()
    parts = [define.slice(packed, -1, end - size, end) for size, end in zip(sizes, ends, strict=True)]
    batch, length = define.shape()[:2]
    return _attend(define, parts, (batch, length, length), sizes, extra)


def _multi_head_attention(define: Definition) -> onnx.FunctionProto:
    """Attention of a query [batch, length, hidden] to keys and values of another length."""
    if not (define.has(1) and define.has(2)) or {len(define.shape(index)) for index in range(3)} != {3}:
        raise unsupported("query, key and value are not three inputs of rank 3")
    sizes = [define.shape(index)[2] for index in range(3)]
    ends = np.cumsum(sizes).tolist()
    parts = define.inputs[:3]
    if define.has(3):
        biases = [define.slice(define.inputs[3], 0, end - size, end) for size, end in zip(sizes, ends, strict=True)]
        parts = [define("Add", *pair) for pair in zip(parts, biases, strict=True)]
    batch, length = define.shape()[:2]
    return _attend(define, parts, (batch, length, define.shape(1)[1]), sizes, (4, 5))


def _attend(
    define: Definition, parts: list[str], extents: tuple[int, int, int], sizes: list[int], extra: tuple[int, ...]
) -> onnx.FunctionProto:
    """Softmax of scaled products of queries and keys, plus masks, times values.

    `extents` are batch, queries and keys; `sizes` the widths of the parts; `extra` the inputs of mask and biases.
    """
    batch, queries, keys = extents
    given = define.node.attributes
    heads = given.get_int("num_heads", 0)
    if heads < 1 or any(size % heads for size in sizes):
        raise unsupported(f"{heads} heads do not share widths of {sizes}")
    lengths = (queries, keys, keys)
    query, key, value = (
        define("Transpose", define.reshape(part, (batch, length, heads, size // heads)), perm=[0, 2, 1, 3])
        for part, length, size in zip(parts, lengths, sizes, strict=True)
    )
    scale = given.get_float("scale", 0.0) or (sizes[0] // heads) ** -0.5
    scores = define("MatMul", query, define("Transpose", key, perm=[0, 1, 3, 2]))
    scores = define("Mul", scores, _number(define, scale))
    for term in _terms(define, extents, extra):
        scores = define("Add", scores, term)
    product = define("MatMul", define("Softmax", scores, axis=-1), value)
    return finish(
        define, {0: define.reshape(define("Transpose", product, perm=[0, 2, 1, 3]), (batch, queries, sizes[2]))}
    )


def _terms(define: Definition, extents: tuple[int, int, int], extra: tuple[int, ...]) -> list[str]:
    """What is added to the scores: a mask, biases, and what hides later keys."""
    mask, *biases = extra
    terms = [_masked(define, mask, extents)] if define.has(mask) else []
    terms += [define.inputs[bias] for bias in biases if define.has(bias)]
    if define.node.attributes.get_int("unidirectional", 0):
        _, queries, keys = extents
        terms.append(_number(define, np.where(np.triu(np.ones((queries, keys), bool), 1), -np.inf, 0)))
    return terms


def _masked(define: Definition, index: int, extents: tuple[int, int, int]) -> str:
    """Zero for keys that are attended, and `mask_filter_value` for the others."""
    batch, queries, keys = extents
    shape, mask = define.shape(index), define.inputs[index]
    if shape == (batch,):  # how many keys there are in each row
        attended = define("Less", define.constant(np.arange(keys), np.int32), define.reshape(mask, (batch, 1, 1, 1)))
    elif shape in {(batch, keys), (batch, queries, keys)}:
        wide = define.reshape(mask, (batch, 1, *((1,) if len(shape) == 2 else ()), *shape[1:]))  # noqa: PLR2004
        attended = define("Greater", wide, define.constant(0, np.int32))
    else:
        raise unsupported(f"a mask of shape {list(shape)} is not known")
    value = define.node.attributes.get_float("mask_filter_value", -10000.0)
    return define("Where", attended, _number(define, 0), _number(define, value))


def _number(define: Definition, value: npt.ArrayLike) -> str:
    """A constant among the scores, which are float32 where the inputs are integers."""
    dtype = define.dtype()
    return define.constant(value, np.float32 if dtype.kind in "iu" else dtype)


def _rotary(define: Definition) -> onnx.FunctionProto:
    """Turn pairs of features by angles that grow with the position, Su et al., arXiv:2104.09864."""
    given, shape = define.node.attributes, define.shape()
    if given.get_int("is_packed_batching", 0) or given.get_float("scale", 1.0) != 1.0:
        raise unsupported("attribute 'is_packed_batching' or 'scale' is set")
    pairs = define.shape(2)[1]
    heads = given.get_int("num_heads", 0) or (shape[2] // (2 * pairs) if len(shape) == 3 else shape[1])  # noqa: PLR2004
    by_head = len(shape) == 4  # noqa: PLR2004
    batch, length = shape[0], shape[2 if by_head else 1]
    size = shape[3] if by_head else shape[2] // heads
    x = define.inputs[0]
    x = x if by_head else define("Transpose", define.reshape(x, (batch, length, heads, size)), perm=[0, 2, 1, 3])
    angles = _angles(define, (batch, length, pairs))
    turned = _turned(define, x, angles, (batch, heads, length, pairs))
    if 2 * pairs < size:
        turned = define("Concat", turned, define.slice(x, -1, 2 * pairs, size), axis=-1)
    return define.finish(turned if by_head else define.reshape(define("Transpose", turned, perm=[0, 2, 1, 3]), shape))


def _angles(define: Definition, extents: tuple[int, int, int]) -> tuple[str, str]:
    """Cosines and sines at the positions, [batch or 1, 1, length, pairs]."""
    _, length, pairs = extents
    positions = define.inputs[1]
    if len(define.shape(1)) == 1:  # where the first token is
        positions = define("Add", define.constant(np.arange(length)), positions)
    found = [define("Gather", table, positions) for table in define.inputs[2:4]]
    cosine, sine = (define.reshape(each, (-1, 1, length, pairs)) for each in found)
    return cosine, sine


def _turned(define: Definition, x: str, angles: tuple[str, str], extents: tuple[int, int, int, int]) -> str:
    *outer, pairs = extents
    cosine, sine = angles
    if define.node.attributes.get_int("interleaved", 0):
        first, second = (define.slice(x, -1, start, 2 * pairs, 2) for start in (0, 1))
    else:
        first, second = (define.slice(x, -1, start, start + pairs) for start in (0, pairs))
    results = [
        define("Sub", define("Mul", first, cosine), define("Mul", second, sine)),
        define("Add", define("Mul", second, cosine), define("Mul", first, sine)),
    ]
    if not define.node.attributes.get_int("interleaved", 0):
        return define("Concat", *results, axis=-1)
    columns = [define.reshape(each, (*outer, pairs, 1)) for each in results]
    return define.reshape(define("Concat", *columns, axis=-1), (*outer, 2 * pairs))


_OPTIONS = "mask_filter_value num_heads scale unidirectional"

ATTENTION: dict[str, Contrib] = {
    "Attention": Contrib(
        _attention,
        names(f"{_OPTIONS} do_rotary past_present_share_buffer qkv_hidden_sizes rotary_embedding_dim"),
        frozenset({0, 1, 2, 3, 5}),
    ),
    "QAttention": Contrib(
        _quantized_attention, names(f"{_OPTIONS} do_rotary past_present_share_buffer"), frozenset(range(8))
    ),
    "MultiHeadAttention": Contrib(_multi_head_attention, names(_OPTIONS), frozenset(range(6))),
    "RotaryEmbedding": Contrib(
        _rotary, names("interleaved is_packed_batching num_heads rotary_embedding_dim scale"), frozenset(range(4))
    ),
}

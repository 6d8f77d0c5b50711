"""Steps of a draft that multiply and sum: convolutions, products, attention."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.analysis.channels.draft import Draft


def convolution(d: Draft) -> None:
    x = d.activation(4)
    if x is None:
        return
    n, channels, *image = d.shapes[x]
    groups = d.choose([g for g in (1, 1, 2, 3, channels) if channels % g == 0])
    outputs = groups * d.choose([1, 2, 3, 4] if groups > 1 else [2, 4, 6, 8])
    inputs = [x, d.any_weight(outputs, channels // groups, 1, 1)]
    if d.choose([0, 1]):
        inputs.append(d.weight(outputs))
    d.emit("Conv", inputs, (n, outputs, *image), group=groups)


def transposed(d: Draft) -> None:
    x = d.activation(4)
    if x is None:
        return
    n, channels, *image = d.shapes[x]
    groups = d.choose([g for g in (1, 2, channels) if channels % g == 0])
    outputs = d.choose([1, 2, 3])
    d.emit("ConvTranspose", [x, d.weight(channels, outputs, 1, 1)], (n, groups * outputs, *image), group=groups)


def matmul(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is not None:
        outputs = d.choose([2, 3, 4, 6])
        d.emit("MatMul", [x, d.any_weight(d.shapes[x][-1], outputs)], (*d.shapes[x][:-1], outputs))


def product(d: Draft) -> None:
    """Of an activation and its own transpose, as in attention."""
    x = d.activation(2, 3, 4)
    if x is not None:
        *batch, rows, columns = d.shapes[x]
        order = [*range(len(batch)), len(batch) + 1, len(batch)]
        turned = d.emit("Transpose", [x], (*batch, columns, rows), perm=order)
        d.emit("MatMul", [x, turned], (*batch, rows, rows))


def einsum(d: Draft) -> None:
    """Sum an activation over some axes, with a weight that has some of these and some new ones, in any order."""
    x = d.activation(2, 3, 4)
    if x is None:
        return
    letters = "abcd"[: len(d.shapes[x])]
    extents = dict(zip(letters, d.shapes[x], strict=True)) | {"e": 2, "f": 3}
    chosen = {letter: d.choose(["x", "x", "both", "both", "summed"]) for letter in letters}
    own = [letter for letter, where in chosen.items() if where != "x"] + ["e", "f"][: d.choose([1, 1, 2])]
    weight = d.draw(st.permutations(own))
    rest = {letter for letter, where in chosen.items() if where != "summed"} | set(own) - set(letters)
    result = d.draw(st.permutations(sorted(rest)))
    inputs = [x, d.weight(*(extents[letter] for letter in weight))]
    equation = f"{letters},{''.join(weight)}->{''.join(result)}"
    d.emit("Einsum", inputs, tuple(extents[letter] for letter in result), equation=equation)


def attention(d: Draft) -> None:
    """Of an activation or projections of it, with heads along the last axis or along the second one."""
    x = d.activation(3, 4)
    if x is None:
        return
    *outer, size = d.shapes[x]
    keys, sharers, within, values = (d.choose(each) for each in ([1, 2, 3], [1, 1, 2], [1, 2], [1, 2, 3]))
    attributes: dict[str, Any] = {"is_causal": d.choose([0, 0, 1])}
    if len(outer) == 2:
        queries, extents = keys * sharers, (keys * sharers * within, keys * within, keys * values)
        attributes.update(q_num_heads=queries, kv_num_heads=keys)
        shape = (*outer, queries * values)
    else:
        queries, extents, shape = outer[1], (within, within, values), (*outer, values)
    operands = [x if n == size else d.emit("MatMul", [x, d.weight(size, n)], (*outer, n)) for n in extents]
    if d.choose([0, 1]):
        attributes["scale"] = 0.5
    if d.choose([0, 1]):
        operands.append(d.weight(queries, outer[-1], outer[-1]))
    d.emit("Attention", operands, shape, **attributes)


def gemm(d: Draft) -> None:
    x = d.activation(2)
    if x is None:
        return
    rows, columns = d.shapes[x]
    outputs, turned = d.choose([2, 4, 6]), d.choose([0, 1])
    weight = d.weight(outputs, columns) if turned else d.weight(columns, outputs)
    d.emit("Gemm", [x, weight, d.weight(outputs)], (rows, outputs), transB=turned, alpha=0.5)

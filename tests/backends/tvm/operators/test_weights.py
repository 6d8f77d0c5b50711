"""Which kernel a weight is given, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from graphprune.backends.tvm.backend import machine_of
from graphprune.backends.tvm.kernels.builder import WIDE_L1_BYTES, Machine
from graphprune.backends.tvm.kernels.dot import QUADS, SMALL_QUADS
from graphprune.backends.tvm.kernels.sparse_rows import HEIGHTS
from graphprune.backends.tvm.operators.costs import costs_on
from graphprune.backends.tvm.operators.weights import (
    DENSE,
    Candidate,
    Weight,
    candidates,
    dense_weight,
    explain,
    fastest_integers,
    grouped_weight,
)
from graphprune.compiler.compile import compile as compile_model
from graphprune.layouts import csr
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.targets.target import resolve_target
from graphprune_runtime.loading import load_session
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import assert_equal, compile_, kernels, parse, pruned
from tests.backends.tvm.kernels.harness import V3, V4

WIDE = replace(V4, l1_bytes=WIDE_L1_BYTES)
MACHINES = [pytest.param(V4, id="one a cycle"), pytest.param(WIDE, id="two a cycle"), pytest.param(V3, id="two short")]
EACH = pytest.mark.parametrize("machine", MACHINES)


def weight(zeros: float, height: int = 1) -> Weight:
    """A weight [64, 64, 1] with that share of zeros, in blocks of that many outputs."""
    matrix = pruned(64, 64, zeros=0)
    order = np.random.default_rng(5).permutation(64 // height * 64)[: round(zeros * 64 // height * 64)]
    mask = np.ones(64 // height * 64, np.float32)
    mask[order] = 0
    return Weight(64, 64, 1, rows=csr.pack(matrix * mask.reshape(-1, 64).repeat(height, axis=0)))


def best(each: Weight, machine: Machine = V4, *, few: int = 0) -> Candidate:
    return candidates(each, machine, few=few)[0]


@EACH
@pytest.mark.parametrize("height", HEIGHTS)
def test_enough_zeros(height: int, machine: Machine) -> None:
    """Rows with common columns need fewer, and so do processors whose dense kernels are farther from their peak."""
    least = 1 - 1 / costs_on(machine).rows[height]
    above, below = (weight(least + change, height) for change in (0.04, -0.04))
    assert best(above, machine).kernel == ("rows" if height == 1 else f"rows of {height}")
    formed = best(above, machine).form(above)
    assert (formed.height, formed.dense) == (height, None)
    assert best(below, machine).kernel == "dense"
    why = explain(below, best(below, machine), candidates(below, machine, few=0), {})
    assert re.search(r"zero; rows( of \d)? estimated at 1\d\d% of the dense kernel's time", why)
    dense = best(below, machine).form(below).dense
    assert dense is not None
    assert below.rows is not None
    np.testing.assert_array_equal(dense[:, :, 0], csr.unpack(below.rows))


def test_rows_that_share_nothing_stay_apart() -> None:
    for zeros in (0.5, 0.75, 0.9, 0.98):
        assert best(weight(zeros)).kernel == "rows"


def test_heights_divide_the_outputs() -> None:
    rows = csr.pack(pruned(3, 64, zeros=0.9).repeat(2, axis=0))
    assert best(Weight(6, 64, 1, rows=rows)).kernel == "rows of 2"
    odd = csr.pack(np.tile(pruned(1, 64, zeros=0.9), (5, 1)))
    assert best(Weight(5, 64, 1, rows=odd)).kernel == "rows"


@EACH
def test_few_positions(machine: Machine) -> None:
    least = 1 - 1 / costs_on(machine).few[1]
    assert best(weight(least + 0.07, 4), machine, few=1).kernel == "rows"
    assert best(weight(least - 0.07, 4), machine, few=1).kernel == "dense"


@EACH
def test_a_weight_in_the_cache_needs_long_rows(machine: Machine) -> None:
    costs = costs_on(machine)
    least = 1 - (1 - costs.row / 1000) / costs.near[1]
    for change, kernel in ((0.02, "rows"), (-0.02, "dense")):
        long = Weight(20, 1000, 1, rows=csr.pack(pruned(20, 1000, zeros=least + change)))
        assert candidates(long, machine, few=1, near=True)[0].kernel == kernel
        others = candidates(long, machine, few=1), candidates(long, machine, few=0, near=True)
        assert [each[0].kernel for each in others] == ["rows", "rows"]
    short = Weight(20, 64, 1, rows=csr.pack(pruned(20, 64, zeros=0.98)))
    assert candidates(short, machine, few=3, near=True)[0].kernel == "dense"


def test_the_weights_of_the_whole_model_are_near_or_not() -> None:
    weight = np.where(np.arange(64)[:, None] == 3, 1, pruned(64, 64, zeros=0.98)).astype(np.float32)
    text = "g (float[1,64] x) => (float[1,64] y) { a = MatMul(x,u) b = MatMul(x,v) y = Add(a,b) }"
    model = run_pass(PackWeights(layout="rows"), parse(text, {"u": weight.T, "v": 2 * weight.T})).model
    each = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value) // 2
    for l2_bytes, kernel in ((2 * each, "dense_vector"), (each, "sparse_vector")):
        assert {"dense_vector", "sparse_vector"} & set(kernels(model, l2_bytes=l2_bytes)) == {kernel}


@EACH
def test_values_of_16_bits_need_fewer_zeros_at_one_position(machine: Machine) -> None:
    costs = costs_on(machine)
    wide = weight(1 - 2 / (costs.few[1] + costs.narrow[1]))
    assert wide.rows is not None
    for dtype in (np.float16, ml_dtypes.bfloat16):
        values = wide.rows.values.astype(dtype).astype(np.float32)
        narrow = replace(wide, rows=replace(wide.rows, values=values))
        assert [best(narrow, machine, few=few).kernel for few in (1, 2)] == ["rows", "dense"]
        assert "zero, the others fit in 16 bits; estimated at" in explain(
            narrow, best(narrow, machine, few=1), candidates(narrow, machine, few=1), {}
        )
    assert best(wide, machine, few=1).kernel == "dense"


def test_groups_as_rows_over_all_channels_and_back() -> None:
    array = pruned(6, 4, 3, zeros=0.6)
    grouped = grouped_weight(array, 3)
    assert grouped.rows is not None
    whole = csr.unpack(grouped.rows).reshape(3, 2, 12, 3)
    for group in range(3):
        np.testing.assert_array_equal(whole[group, :, 4 * group : 4 * group + 4], array[2 * group : 2 * group + 2])
        assert not np.delete(whole[group], range(4 * group, 4 * group + 4), axis=1).any()
    assert (grouped.size, grouped.nonzeros) == (array.size, int(np.count_nonzero(array)))
    assert grouped.uses == grouped.nonzeros / (12 * 3)
    dense = DENSE.form(grouped)
    assert dense.dense is not None
    np.testing.assert_array_equal(dense.dense, array)
    assert (dense.groups, dense.inputs, dense.uses) == (3, 4, 2)
    assert grouped_weight(np.ones((6, 4, 3), np.float32), 3).rows is None


def test_a_dense_weight() -> None:
    dense = dense_weight(pruned(8, 8, 1, zeros=0))
    assert [candidate.kernel for candidate in candidates(dense, V4, few=0)] == ["dense"]
    assert explain(dense, best(dense), [DENSE], {}) == "0.0% of the elements are zero"


def test_why_names_what_was_measured() -> None:
    each = weight(0.9)
    seconds = {candidate: 0.002 if candidate.height == 0 else 0.0005 for candidate in (DENSE, best(each))}
    why = explain(each, best(each), list(seconds), seconds)
    assert why == "89.1% of the elements are zero; measured: rows 0.5 ms, dense 2 ms"


def test_what_was_chosen_is_told_and_saved(tmp_path: Path) -> None:
    model = parse(
        """g (float[1,32,20,20] x) => (float[1,16,20,20] y) {
        [first] a = Conv (x, u) [second] b = Conv (a, v) [third] y = Conv (b, w) }""",
        {"u": pruned(32, 32, 1, 1, zeros=0.9), "v": pruned(32, 32, 1, 1, zeros=0),
         "w": pruned(4, 32, 1, 1, zeros=0.8).repeat(4, axis=0)},
    )  # fmt: skip
    session = compile_model(model)
    assert isinstance(session, CompiledSession)
    assert_equal(session, model)
    session.save(tmp_path / "m.so")
    for each in (session, load_session(tmp_path / "m.so", 1)):
        assert isinstance(each, CompiledSession)
        assert [(note.node, note.kernel, set(note.eligible)) for note in each.kernels] == [
            ("first", "rows", {"rows", "rows of 2", "rows of 4", "dense"}),
            ("second", "dense", {"dense"}),
            ("third", "rows of 4", {"rows", "rows of 2", "rows of 4", "dense"}),
        ]


def test_a_packed_weight_with_too_few_zeros_is_unpacked() -> None:
    model = parse("g (float[2,40,32] x) => (float[2,40,24] y) { y = MatMul (x, w) }", {"w": pruned(32, 24, zeros=0.3)})
    packed = run_pass(PackWeights(min_sparsity=0.1, layout="rows"), model).model
    session = compile_(packed)
    assert [note.kernel for note in session.kernels] == ["dense"]
    assert_equal(session, model)


def runs(zeros: float, largest: int) -> np.ndarray:
    """Signed bytes [64, 128, 1], a share of the runs of 4 inputs zero."""
    rng = np.random.default_rng(0)
    weight = rng.integers(1, largest + 1, (64, 32, 4))
    weight[rng.random((64, 32)) < zeros] = 0
    return weight.reshape(64, 128, 1).astype(np.int8)


def test_words_of_integers_are_those_that_take_the_least_time() -> None:
    machine = machine_of(resolve_target("x86-64-v3"), 1)
    anywhere = np.where(np.random.default_rng(1).random((64, 128, 1)) < 0.9, 0, 9).astype(np.int8)
    found = {
        "dense": fastest_integers(runs(0.0, 60), machine, few=False),
        "runs": fastest_integers(runs(0.8, 60), machine, few=False),
        "large": fastest_integers(np.where(runs(0.8, 1), 127, 0).astype(np.int8), machine, few=False),
        "anywhere": fastest_integers(anywhere, machine, few=False),
        "few": fastest_integers(runs(0.8, 60), machine, few=True),
        "vnni": fastest_integers(runs(0.8, 60), machine_of(resolve_target("x86-64-v3-vnni"), 1), few=False),
    }
    small = [name for name, weight in found.items() if weight.elements == SMALL_QUADS]
    assert small == ["runs"]
    assert {name for name, weight in found.items() if weight.elements == QUADS} == {"vnni"}

"""Unknowns, and what is connected."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.analysis.channels.equations import Equations

PAIRS = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40)


@given(PAIRS)
@settings(max_examples=100, deadline=None)
def test_components_are_those_of_networkx(pairs: list[tuple[int, int]]) -> None:
    equations = Equations()
    labels = equations.unknowns(30)
    graph = nx.Graph()
    graph.add_nodes_from(range(30))
    for one, other in pairs:
        equations.same(labels[[one]], labels[[other]])
        graph.add_edge(one, other)
    root = equations.solve()
    for component in nx.connected_components(graph):
        assert {int(each) for each in root[list(component)]} == {min(component)}


def test_broadcast_ties() -> None:
    equations = Equations()
    grid = equations.unknowns(6).reshape(2, 3)
    equations.same(grid, grid[:, :1])
    np.testing.assert_array_equal(equations.solve(), [0, 0, 0, 3, 3, 3])


def test_a_grid_keeps_its_longest_axis() -> None:
    equations = Equations()
    equations.grid(equations.unknowns(6).reshape(2, 3))
    np.testing.assert_array_equal(equations.solve(), [0, 1, 2, 0, 1, 2])


def test_a_grid_of_whole_slices_stays() -> None:
    equations = Equations()
    grid = equations.unknowns(6).reshape(2, 3)
    equations.same(grid, grid[:, :1])
    equations.grid(grid)
    assert len(set(equations.solve().tolist())) == 2


def test_grids_tie_each_other() -> None:
    equations = Equations()
    labels = equations.unknowns(12)
    equations.grid(labels.reshape(3, 4))
    equations.grid(labels.reshape(2, 6))
    root = equations.solve()
    for rows in (3, 2):
        grid = root.reshape(rows, -1)
        assert (grid == grid[:1]).all() or (grid == grid[:, :1]).all()

"""Parts of graphs: all nodes once, in an order in which they can run, and no fewer parts would do."""

from __future__ import annotations

import onnx_ir as ir
from hypothesis import given
from hypothesis import strategies as st

from graphprune.backends.tvm.pieces.partition import BETWEEN, partition
from tests.backends.tvm.graphs import parse

CHAIN = "g (float[4,4] x, float[4,4] v) => (float[4,4] y) { "


def cut(body: str, hosted: str) -> tuple[list[str], dict[str, str]]:
    """The parts of a graph, each as `code: a b` or `host: c`, and why each node is hosted."""
    graph = parse(CHAIN + body + " }").graph
    refused = {node: "no kernel" for node in graph if node.outputs[0].name in hosted.split()}
    parts = partition(graph, refused)
    names = [" ".join(node.outputs[0].name or "" for node in part.nodes) for part in parts]
    reasons = {node.outputs[0].name or "": why for node, why in refused.items()}
    return [f"{'host' if part.hosted else 'code'}: {n}" for part, n in zip(parts, names, strict=True)], reasons


def test_a_chain_is_cut_where_the_kind_changes() -> None:
    parts, _ = cut("a = MatMul(x,v) b = Abs(a) c = Neg(b) d = MatMul(c,v) y = Exp(d)", "b c")
    assert parts == ["code: a", "host: b c", "code: d y"]


def test_branches_share_a_part() -> None:
    parts, _ = cut("a = Abs(x) b = MatMul(a,v) c = Neg(v) d = MatMul(c,v) y = Add(b,d)", "a c")
    assert parts == ["host: a c", "code: b d y"]


def test_the_kind_to_begin_with_is_the_one_with_fewer_parts() -> None:
    assert cut("a = Abs(x) y = MatMul(a,v)", "a")[0] == ["host: a", "code: y"]
    assert cut("a = MatMul(x,v) y = Abs(a)", "y")[0] == ["code: a", "host: y"]


def test_a_part_without_a_product_is_hosted_with_its_neighbours() -> None:
    parts, reasons = cut("a = MatMul(x,v) b = Abs(a) c = Neg(b) y = Exp(c)", "b y")
    assert parts == ["code: a", "host: b c y"]
    assert reasons == {"b": "no kernel", "c": BETWEEN, "y": "no kernel"}


def test_parts_without_a_product_stay_where_there_is_nothing_else() -> None:
    parts, reasons = cut("a = Neg(x) b = Abs(a) y = Exp(b)", "b")
    assert (parts, reasons) == (["code: a", "host: b", "code: y"], {"b": "no kernel"})


def test_what_a_branch_reads_runs_before_it() -> None:
    graph = parse(
        """g (bool t, float[4,4] x, float[4,4] v) => (float[4,4] y) {
        a = MatMul (x, v)
        y = If (t) <then_branch = p () => (float[4,4] m) { m = Abs (a) },
                    else_branch = q () => (float[4,4] n) { n = Neg (v) }> }"""
    ).graph
    product, branch = graph
    assert [part.nodes for part in partition(graph, {branch: ""})] == [(product,), (branch,)]


@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 30), min_size=1, max_size=2)), min_size=1, max_size=14)
)
def test_random_graphs(nodes: list[tuple[bool, list[int]]]) -> None:
    """Beside the longest path by changes of kind, of which there cannot be fewer."""
    values = [ir.val("x", dtype=ir.DataType.FLOAT, shape=[4, 4])]
    made = []
    for number, (_, reads) in enumerate(nodes):
        inputs = [values[read % len(values)] for read in reads]
        made.append(ir.node("MatMul", [*inputs, inputs[0]][:2], name=f"n{number}"))
        values.append(made[-1].outputs[0])
    graph = ir.Graph(values[:1], [], nodes=made, opset_imports={"": 20})
    hosted = {node: "" for node, (is_hosted, _) in zip(made, nodes, strict=True) if is_hosted}
    parts = partition(graph, hosted)
    assert sorted(node.name or "" for part in parts for node in part.nodes) == sorted(n.name or "" for n in made)
    place = {node: index for index, part in enumerate(parts) for node in part.nodes}
    assert all((node in hosted) is parts[place[node]].hosted for node in made)
    order = {node: (place[node], parts[place[node]].nodes.index(node)) for node in made}
    sources = {node: [p for value in node.inputs if value is not None and (p := value.producer())] for node in made}
    assert all(order[source] < order[node] for node in made for source in sources[node])

    def deepest(first: bool) -> int:  # noqa: FBT001 - a kind
        level: dict[ir.Node, int] = {}
        for node in made:
            steps = [level[source] + ((source in hosted) is not (node in hosted)) for source in sources[node]]
            level[node] = max([*steps, int((node in hosted) is not first)])
        return max(level.values()) + 1 - (0 not in level.values())

    assert len(parts) == min(deepest(first=False), deepest(first=True))

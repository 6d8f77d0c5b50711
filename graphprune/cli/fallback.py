"""What `graphprune compile --fallback` says: which nodes run on ONNX Runtime, why, and what share of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphprune.cli.output import print_line, print_table
from graphprune.errors import GraphPruneError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune_runtime.description import ProgramNote
    from graphprune_runtime.hosted import HostedPiece
    from graphprune_runtime.session import CompiledSession


def measured_share(model: ir.Model, session: CompiledSession) -> float | str:
    """The share of the time that ONNX Runtime takes on a random input, or why it was not measured."""
    from graphprune.measuring.hosted import hosted_share
    from graphprune.verification.feeds import index_limits, random_feed
    from graphprune.verification.shapes import sets_to_draw

    try:
        feed = random_feed(session.get_inputs(), 0, sets_to_draw(session)[0], index_limits(model))
        return hosted_share(session, feed)
    except GraphPruneError as error:  # compiled for another processor, or no run on random numbers
        return str(error)


def print_hosted(program: ProgramNote, share: float | str) -> None:
    """Print the nodes of all hosted pieces and what they cost."""
    nodes = [(node, number) for number, piece in enumerate(program.hosted, 1) for node in piece.nodes]
    rows = ((node.node, node.operator, number, node.why) for node, number in nodes)
    print_table("on ONNX Runtime", ("node", "operator", ">piece", "why"), rows)
    own = len(program.linked)
    measured = f"not measured: {share}" if isinstance(share, str) else f"{share:.0%} on random input"
    print_line(
        f"{len(nodes)} nodes run on ONNX Runtime in {len(program.hosted)} piece(s) beside {own} of code; "
        f"its share of the time: {measured}"
    )


def described_pieces(program: ProgramNote) -> list[dict[str, Any]]:
    """The pieces of a program in order, as `--json` and `inspect` show them."""
    return [_described(piece) for piece in program.pieces]


def _described(piece: ProgramNote | HostedPiece) -> dict[str, Any]:
    from graphprune_runtime.hosted import HostedPiece

    if isinstance(piece, HostedPiece):
        return {"runs_on": "onnxruntime", "nodes": [node._asdict() for node in piece.nodes]}
    return {"runs_on": "code", "calls": len(piece.calls)}

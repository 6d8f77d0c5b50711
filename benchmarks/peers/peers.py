"""Who is compared: what each peer is called, where it runs and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from benchmarks.peers.deepsparse_form import deepsparse_form

OURS = "graphprune"


@dataclass(frozen=True)
class Peer:
    """One side of the comparison.

    Attributes:
        name: What it is chosen by, and shown as.
        distribution: The package whose version is told.
        opener: The function that opens a file, as `module:function`; see `openers`.
        requirements: Pinned packages of an environment of its own; without any, it runs in this one.
        pythons: Versions of Python that those packages are made for; without any, this one will do.
        form: The model in the form that the peer runs best.
        is_compiled: Whether it runs what graphprune compiles.
        is_pruned: Whether that form is another function, which is then what its outputs are held to.
        variables: What is set in the environment of its process.
    """

    name: str
    distribution: str
    opener: str
    requirements: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    form: Callable[[ir.Model], ir.Model] | None = None
    is_compiled: bool = False
    is_pruned: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


_OPENERS = "benchmarks.peers.openers"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "graphprune-runtime", f"{_OPENERS}:graphprune", is_compiled=True),
        Peer(
            "deepsparse",
            "deepsparse",
            f"{_OPENERS}:deepsparse",
            requirements=("deepsparse==1.8.0", "numpy==1.26.4", "onnx==1.14.1"),
            pythons=("3.11", "3.10"),
            form=deepsparse_form,
            variables={"NM_DISABLE_ANALYTICS": "1"},
        ),
        Peer("onnxruntime", "onnxruntime", f"{_OPENERS}:onnxruntime"),
        Peer("openvino", "openvino", f"{_OPENERS}:openvino", requirements=("openvino==2026.4.1", "numpy==2.4.6")),
        Peer("tvm", "apache-tvm", f"{_OPENERS}:tvm"),
    )
}
"""By name, in the order of the table's columns."""

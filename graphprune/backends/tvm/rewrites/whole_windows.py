"""A pooling whose one window is all that there is becomes a global one, which is a reduction of long rows."""

from __future__ import annotations

import onnx_ir as ir

_POOLINGS = {"AveragePool": "GlobalAveragePool", "MaxPool": "GlobalMaxPool"}


def name_whole_windows(graph: ir.Graph) -> None:
    """Turn every pooling of one whole window into the global pooling of its kind."""
    for node in graph:
        if node.domain == "" and node.op_type in _POOLINGS and _is_whole(node):
            node.op_type = _POOLINGS[node.op_type]
            node.attributes.clear()


def _is_whole(node: ir.Node) -> bool:
    """Whether nothing is padded, and one window holds all of the input; a global pooling gives no indices.

    A window that rounding up lets reach beyond the input has the elements that there are.
    """
    x, y, pads = node.inputs[0], node.outputs[0], node.attributes.get_ints("pads", ())
    if x is None or x.shape is None or y.shape is None or any(pads or ()) or any(o.name for o in node.outputs[1:]):
        return False
    if any(extent != 1 for extent in y.shape[2:]):  # as many windows as there are places, with `auto_pad`
        return False
    if any(step != 1 for step in node.attributes.get_ints("dilations", ()) or ()):
        return False
    window, extents = list(node.attributes.get_ints("kernel_shape", ()) or ()), list(x.shape[2:])
    if window == extents or node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME"):
        return window == extents
    sizes = zip(window, extents, strict=False)
    return len(window) == len(extents) and all(isinstance(n, int) and size >= n for size, n in sizes)

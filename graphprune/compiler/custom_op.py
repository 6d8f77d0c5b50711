"""A compiled model for ONNX Runtime: a library with an operator, and an ONNX file whose one node is that operator."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphprune.compiler.compile import check_code_threads, lowerable_variants
from graphprune.compiler.origin import origin_of
from graphprune.errors import InputError, UnsupportedModelError
from graphprune.files import atomic_write
from graphprune.graph.arguments import check_model
from graphprune.graph.input_shapes import InputShapes
from graphprune.native import CUSTOM_OP
from graphprune.targets.target import resolve_target
from graphprune_runtime.file import CompiledFile, Footer

if TYPE_CHECKING:
    from graphprune_runtime.description import Description
    from graphprune_runtime.interface import TensorInfo
    from graphprune_runtime.session import CompiledSession

OPERATOR = "Model"
"""The name of the operator, in the domain of its model."""

_IR_VERSION = 8
"""What ONNX Runtime 1.16 reads, the first one that the operator runs in."""


def export_for_onnxruntime(
    model: ir.Model,
    path: str | PathLike[str],
    target: str = "native",
    threads: int = 1,
    input_shapes: InputShapes | None = None,
    tune: str = "none",
) -> CompiledSession:
    """Compile `model` to an ONNX file of one node, and a library beside it that has the operator of that node.

    For `m.onnx` the library is `m.so`. ONNX Runtime takes it with
    `SessionOptions.register_custom_ops_library("./m.so")`, and `load_session` reads it too.

    Args:
        model: DENSE, SPARSE or PACKED.
        path: The ONNX file to write.
        target: As for `compile`; so are the others.
        threads: How many threads a run of the node uses.
        input_shapes: By input, its shape or several, where more than the number of samples is open.
        tune: How kernels are chosen.

    Returns:
        The session that was written.

    Raises:
        InputError: `model` is no model, an option is out of range, or `path` does not end in `.onnx`.
        UnsupportedModelError: The model holds what the backend cannot lower, or an output that no node can make.
        BackendError: The target is unknown, or building failed.
        ModelFileError: A file cannot be written.
    """
    from graphprune.backends.tvm.backend import TvmBackend

    check_model("export_for_onnxruntime", model)
    check_code_threads(threads)
    target_file = _checked_path(path)
    _check_outputs(model)
    variants = lowerable_variants(model, input_shapes)
    session = TvmBackend().compile(variants, resolve_target(target), threads, tune, origin_of(model), CUSTOM_OP)
    _write(session, target_file, model.graph.name or "graphprune")
    return session


def _checked_path(path: str | PathLike[str]) -> Path:
    if Path(path).suffix != ".onnx":
        message = f"'{path}' has suffix {Path(path).suffix!r}, expected .onnx; the library is written beside it"
        raise InputError(message, code="GP621")
    return Path(path)


def _check_outputs(model: ir.Model) -> None:
    """Refuse outputs that no node could make: in ONNX each value has one name and one maker."""
    names = [value.name for value in (*model.graph.inputs, *model.graph.outputs)]
    for position, value in enumerate(model.graph.outputs, len(model.graph.inputs)):
        if value.name in names[:position]:
            message = f"output {value.name!r} is an input or another output too, one node cannot make it; copy it"
            raise UnsupportedModelError(f"{message} with an Identity", code="GP623")


def _write(session: CompiledSession, path: Path, name: str) -> None:
    """Write the library, whose session this is, and the model of one node, called `name`."""
    library = path.with_suffix(".so")
    session.save(library)
    with library.open("rb") as file:
        domain = _domain(CompiledFile.read(file, f"'{library}'").footer)
    with atomic_write(path) as file:
        file.write(ir.to_proto(_model_of_one_node(session.description, domain, name)).SerializeToString())


def _domain(footer: Footer) -> str:
    """The domain, as the library names it: that of this code on these weights, and of no other."""
    return f"graphprune.{footer.checksum:016x}{footer.code_crc:08x}"


def _model_of_one_node(description: Description, domain: str, name: str) -> ir.Model:
    inputs, outputs = [[*map(_value, infos)] for infos in (description.inputs, description.outputs)]
    node = ir.Node(domain, OPERATOR, inputs, [ir.AttrInt64("threads", description.threads)], outputs=outputs, name=name)
    graph = ir.Graph(inputs, outputs, nodes=[node], opset_imports={domain: 1}, name=name)
    return ir.Model(graph, ir_version=_IR_VERSION, producer_name="graphprune", metadata_props=_metadata(description))


def _value(info: TensorInfo) -> ir.Value:
    element = ir.TensorType(ir.DataType.from_numpy(info.dtype))
    return ir.Value(name=info.name, type=element, shape=ir.Shape(info.shape))


def _metadata(description: Description) -> dict[str, str]:
    """What the node was compiled for, and what is known of where it came from."""
    origin = {key: str(value) for key, value in description.origin._asdict().items() if value}
    known = {"target": description.target, "features": " ".join(description.features), **origin}
    return {f"graphprune.{key}": text for key, text in known.items()}

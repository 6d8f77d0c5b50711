"""Running models that graphprune compiled. Needs NumPy only.

from graphprune_runtime import load_session

session = load_session("resnet50.so", threads=2)
outputs = session.run(None, {"input": x})
"""

from graphprune_runtime.errors import BackendError, GraphPruneError, InputError, ModelFileError
from graphprune_runtime.interface import Session, TensorInfo
from graphprune_runtime.loading import load_session
from graphprune_runtime.session import CompiledSession

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "CompiledSession",
    "GraphPruneError",
    "InputError",
    "ModelFileError",
    "Session",
    "TensorInfo",
    "load_session",
]

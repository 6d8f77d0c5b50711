"""Loading and running compiled code: the package `graphprune_runtime`, under the name that it has here.

Imports: nothing.
"""

from graphprune_runtime import CompiledSession, Session, TensorInfo, load_session

__all__ = ["CompiledSession", "Session", "TensorInfo", "load_session"]

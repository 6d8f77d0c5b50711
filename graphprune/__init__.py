"""graphprune: a compiler for pruned neural networks.

An exported model goes in, its weights are pruned and packed, the graph is compiled for a named CPU, and the result is
proved to be the same function with its speed measured.
"""

from __future__ import annotations

__version__ = "0.1.0"

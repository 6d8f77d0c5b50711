"""Rewrites of a graph on its way to this backend, each of which keeps its outputs, and `prepare`, which runs them.

Imports: analysis, backends.tvm.kernels, backends.tvm.lowering, backends.tvm.operators, errors, graph, packed, passes,
stages.
"""

"""Packed weights in a graph: calls of model-local functions that every runtime can run.

Imports: analysis, errors, graph, layouts, masks.
"""

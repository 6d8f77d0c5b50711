"""Rewrites of a graph on its way to this backend: one small function a file, each keeps the graph's outputs."""

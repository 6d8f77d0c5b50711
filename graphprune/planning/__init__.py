"""From a recipe and a model to a plan: the documents a user writes, and which weights or channels they prune.

Imports: analysis, diagnostics, errors, files, graph, masks.
"""

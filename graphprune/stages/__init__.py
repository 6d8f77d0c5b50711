"""The stages a model goes through, what is legal in each, and the check that holds a model to it.

Imports: errors, graph, masked, packed.
"""

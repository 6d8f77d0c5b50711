"""A model on samples, layer by layer: what each layer multiplies, with what lies before it as it is by then.

Imports: analysis, backends, errors, graph.
"""

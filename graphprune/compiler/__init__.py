"""From a model to a session: shapes fixed, model normalised, weights packed, handed to a backend.

Imports: backends, errors, graph, passes, runtime, stages, targets.
"""

"""From a model to a session: shapes fixed, model normalised, weights packed, handed to a backend.

Imports: backends, errors, passes, runtime, stages, targets.
"""

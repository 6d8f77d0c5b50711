"""Whether two models are the same function: seeded inputs, comparison, and the first value that differs.

Imports: backends, errors, frontends, graph, runtime.
"""

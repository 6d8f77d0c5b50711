"""What a model is made of: weights and their sparsity, cost, coupled groups of channels, attributes of operators.

Imports: diagnostics, errors, graph, masks.
"""

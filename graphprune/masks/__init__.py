"""Which weights are pruned: criteria that score, patterns that select, soft masks that train.

Imports: errors.
"""

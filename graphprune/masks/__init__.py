"""Which weights go: criteria that score, patterns that select, soft masks that train.

Imports: errors.
"""

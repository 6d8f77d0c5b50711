"""Which weights go: criteria that score, patterns that select."""

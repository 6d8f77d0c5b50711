"""What runs a model: one small protocol (`base`), a table of chips (`targets`) and one module a backend."""

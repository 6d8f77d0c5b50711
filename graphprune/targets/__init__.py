"""The processors that models are compiled for: this one as its system describes it, and the others as data.

Imports: errors.
"""

"""What candidates for a model are worth: how good, how fast, how large, as data and as a page to look at.

Imports: files, planning.
"""

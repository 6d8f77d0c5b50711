"""What turns a model into a session: one protocol and registry (`base`), and one backend a module or folder.

Imports: errors, frontends, runtime, targets.
"""

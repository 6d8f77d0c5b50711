"""How commands end, as numbers; 0 is done."""

FAILED_VERIFICATION = 1

USER_ERROR = 2

INTERRUPTED = 130
"""After Ctrl-C, as shells give it: 128 and the number of the signal."""

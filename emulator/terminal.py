"""The terminal or the file to which we print."""

import sys
from io import TextIOWrapper


def accept_everything() -> None:
    """Have a question mark printed for every character that it cannot show, in place of an error.

    The name of a file on a disk need not be text, and not every locale has `…`.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")

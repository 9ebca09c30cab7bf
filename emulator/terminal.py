"""The terminal, or the file, at which what we print arrives."""

import sys
from io import TextIOWrapper


def accept_everything() -> None:
    """Print a question mark for what it cannot show: a name on a disk may be no text, and not every locale has `…`."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")

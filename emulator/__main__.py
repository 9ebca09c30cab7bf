"""`python -m emulator` runs the whole system until Ctrl-C; `… video.mp4` converts that video and stops."""

import os
import signal
import sys

# While the modules below are loaded nothing is running yet, and Ctrl-C just ends us: without the traceback that the
# handler of Python would print. main() sets another, which stops the system in order.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from emulator import command  # noqa: E402

sys.exit(command.main(sys.argv[1:], os.environ))

"""gunicorn.conf.py of the functions, with services whose process can be ended at an exact point (crash_points.py)."""

import runpy

from functions.runtime import wiring
from tests.faults import crash_points

wiring.Services = crash_points.Services  # type: ignore[misc] # in its place, for this process
globals().update(runpy.run_path("functions/runtime/gunicorn.conf.py"))

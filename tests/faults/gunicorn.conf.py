"""functions/gunicorn.conf.py, around functions whose process can be ended at an exact point (mines.py)."""

import runpy

from functions import wiring
from tests.faults import mines

wiring.Services = mines.Services
globals().update(runpy.run_path("functions/gunicorn.conf.py"))

"""The waveform of a job's audio, for a picture of it."""

from flask import Response

from functions.model.errors import Conflict, NotFound
from functions.model.jobs import Job, State
from functions.runtime import responses
from functions.runtime.wiring import Services


def answer(services: Services, job: Job) -> Response:
    """The peaks of the audio, from 0 to 1, and how long each lasts. It never changes as long as the audio does not.

    Raises Conflict until the job is done, and NotFound for audio that was made before there were waveforms.
    """
    if job.state != State.DONE:
        raise Conflict(f"the job is {job.state}; there is a waveform once it is done", reason=job.state)
    peaks = services.jobs.waveform(job.id)
    if peaks is None:
        raise NotFound("this job's audio was made before there were waveforms")
    seconds = (job.duration or 0.0) / len(peaks)
    return responses.json({"peaks": [round(peak / 255, 3) for peak in peaks], "seconds_per_peak": round(seconds, 6)})

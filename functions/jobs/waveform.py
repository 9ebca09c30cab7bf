"""The waveform of a job's audio, for a picture of it."""

from hashlib import sha256

from flask import Request, Response

from functions.model.errors import Conflict, NotFound
from functions.model.jobs import Job, State
from functions.runtime import preconditions, responses
from functions.runtime.wiring import Services


def answer(services: Services, request: Request, job: Job) -> Response:
    """The peaks, from 0 to 1, and how long each lasts; nothing but a 304 for who has them already.

    Raises Conflict while the job is not done, and NotFound where its audio has no waveform.
    """
    if job.state != State.DONE:
        raise Conflict(f"the job is {job.state}; there is a waveform once it is done", reason=job.state)
    peaks = services.jobs.waveform(job.id)
    if peaks is None:
        raise NotFound("there is no waveform of this job's audio: it was made before there were any")
    shown = [round(peak / 255, 3) for peak in peaks]
    seconds = round((job.duration or 0.0) / len(peaks), 6)
    here = preconditions.Representation(sha256(peaks).hexdigest()[:32])
    response = responses.json({"peaks": shown, "seconds_per_peak": seconds}, Cache_Control="private, no-cache")
    response.set_etag(here.etag)
    if not preconditions.wanted(request.headers, here):
        response.status_code = 304
        response.set_data(b"")
    return response

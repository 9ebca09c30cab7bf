"""Ui: hands out the files of the page for people."""

from hashlib import sha256
from pathlib import Path

from flask import Request, Response

from functions.model.errors import NotFound
from functions.runtime import preconditions, web, wiring

services = wiring.Services("ui")

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    # The files' names carry no version, so a browser asks each time: it sees a new release at once, and otherwise gets
    # a short 304.
    "Cache-Control": "no-cache",
    # Nothing is loaded from elsewhere and nothing is inline; blob: is the audio that is being played. Trusted Types
    # make the browser refuse to turn a text, such as a stranger's file name, into markup.
    "Content-Security-Policy": "default-src 'self'; media-src blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FILES = {
    "/" if file.name == "index.html" else f"/{file.name}": (file.read_bytes(), TYPES[file.suffix])
    for file in Path(__file__).parent.iterdir()
    if file.suffix in TYPES
}
ETAGS = {path: sha256(content).hexdigest()[:32] for path, (content, _) in FILES.items()}


@web.serves("GET", below=dict.fromkeys(FILES, ("GET",)), ready=services.ready)
def ui(request: Request) -> Response:
    if request.path not in FILES:  # a route that fits apart from a slash at its end
        raise NotFound("there is no page at this address; the page for people is at /")
    content, mimetype = FILES[request.path]
    response = Response(content, mimetype=mimetype, headers=HEADERS)
    response.set_etag(ETAGS[request.path])
    if not preconditions.wanted(request.headers, preconditions.Representation(ETAGS[request.path])):
        response.status_code = 304
    return response

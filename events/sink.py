"""Where a function posts its events: $K_SINK, as Knative names it.

Behind it stands Knative's broker or our bridge's ingress.
"""

from events import envelope
from events.contract import Event

MAY_PASS = (408, 429)  # of 4xx, those that do not blame the event
TIMEOUT = 1.5  # seconds: an upload answers within 2 s though nobody takes its event


class SinkUnavailable(Exception):
    """Nobody took the event. The row it speaks of is safe: sweep sends it again."""


class SinkRefused(SinkUnavailable):
    """The sink takes offence at this one event; another may pass."""


class Sink:
    """Posts events in binary mode over one kept connection."""

    def __init__(self, url: str) -> None:
        # Imported by the first event: 0.1 s that a cold start need not pay.
        import urllib3

        self._url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=TIMEOUT))

    def send(self, event: Event) -> None:
        """Returns once the other side has made the event safe (2xx). Raises SinkUnavailable, for a 4xx SinkRefused."""
        import urllib3

        headers, body = envelope.to_http(event)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise SinkUnavailable(f"no answer from the event sink: {type(error).__name__}") from error
        if not 200 <= answer.status < 300:
            refused = 400 <= answer.status < 500 and answer.status not in MAY_PASS
            raise (SinkRefused if refused else SinkUnavailable)(f"the event sink answered {answer.status}")

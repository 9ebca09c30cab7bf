"""The sink: where a function posts its events. That is $K_SINK, Knative's broker or our bridge's ingress."""

from events import envelope
from events.contract import Event

TRANSIENT = (408, 429)  # the statuses of 4xx that do not say that anything is wrong with the event
TIMEOUT = 1.5  # seconds: upload waits for it, and answers within 2 s even if nobody takes its event


class SinkUnavailable(Exception):
    """Nobody took the event. Nothing is lost by that, because sweep sends it again: log it and go on."""


class SinkRefused(SinkUnavailable):
    """The sink refused this event (4xx); it may well take others. See the ingress's log for what is wrong with it."""


class Sink:
    """Posts events in binary mode over a connection that is kept open."""

    def __init__(self, url: str) -> None:
        # Imported when the first event is sent: it takes 0.1 s, which a cold start must not pay for.
        import urllib3

        self._url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=TIMEOUT))

    def send(self, event: Event) -> None:
        """Posts the event; returns once it is taken (2xx). Raises SinkUnavailable, and for most of 4xx SinkRefused."""
        import urllib3

        headers, body = envelope.to_http(event)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise SinkUnavailable(f"no answer from the event sink: {type(error).__name__}") from error
        if not 200 <= answer.status < 300:
            refused = 400 <= answer.status < 500 and answer.status not in TRANSIENT
            raise (SinkRefused if refused else SinkUnavailable)(f"the event sink answered {answer.status}")

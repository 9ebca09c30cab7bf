"""What a function counts, for Prometheus: GET /_/metrics on every function."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functions.model.jobs import JobCount
    from functions.model.notifications import NotificationCount

SPEEDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 60)  # seconds of work per minute of video

_creation = Lock()
_rendering = Lock()  # from setting the gauges to the finished page: two at once would each show half of the rows

Counts = Callable[[], "tuple[list[JobCount], list[NotificationCount]]"]


def count_request(function: str, status: int) -> None:
    """Counts an answer; `status` is its HTTP status."""
    _counter("requests", "Requests answered", "function", "status").labels(function, str(status)).inc()


def count_bytes(direction: str, size: int) -> None:
    """`direction` is "in" (uploads) or "out" (downloads)."""
    _counter("transferred_bytes", "Bytes of videos taken in and of MP3s given out", "direction").labels(direction).inc(
        size
    )


def count_failure(reason: str | None) -> None:
    """Counts a job that failed; `reason` is its row's."""
    _counter("failed_jobs", "Jobs that failed for good", "reason").labels(reason or "").inc()


def count_no_room() -> None:
    """Counts a conversion for which the disk had no room."""
    _counter("no_room", "Conversions put off because the disk had no room for them").inc()


def count_parallel(outcome: str) -> None:
    """Counts a sound that was encoded in pieces; `outcome` is "joined", or why it had to be encoded once more."""
    _counter("parallel_encodings", "Sounds that were encoded in pieces, by what came of it", "outcome").labels(
        outcome
    ).inc()


def observe_conversion(seconds: float, media_seconds: float) -> None:
    """Notes how long a conversion took, and how long its audio plays. Audio without length is left out."""
    if media_seconds > 0:
        _metric(
            "Histogram",
            "conversion_seconds_per_media_minute",
            "Seconds of work per minute of video",
            buckets=SPEEDS,
        ).observe(seconds / (media_seconds / 60))


def page(counts: Counts | None) -> bytes:
    """All metrics in Prometheus' text format. `counts`, if given, first asks the stores for numbers of rows.

    Rows are counted anew for each page, because other functions change them too. Raises what `counts` raises.
    """
    from prometheus_client import generate_latest

    if counts is None:
        return generate_latest()
    jobs, notifications = counts()
    with _rendering:
        _set_gauges(jobs, notifications)
        return generate_latest()


def _set_gauges(job_counts: "list[JobCount]", notification_counts: "list[NotificationCount]") -> None:
    jobs, oldest = (
        _gauge("jobs", "Jobs by state", "state"),
        _gauge("oldest_queued_seconds", "Age of the oldest queued job"),
    )
    tries = _gauge("tries", "The most tries of any job in that state", "state")
    for gauge in (jobs, tries):
        gauge.clear()
    for count in job_counts:
        jobs.labels(count.state).set(count.jobs)
        tries.labels(count.state).set(count.tries)
    oldest.set(max((count.oldest_seconds for count in job_counts), default=0))
    notifications = _gauge("notifications", "Notifications by state", "state")
    notifications.clear()
    for each in notification_counts:
        notifications.labels(each.state).set(each.notifications)


def _counter(name: str, text: str, *labels: str) -> Any:
    return _metric("Counter", name, text, *labels)


def _gauge(name: str, text: str, *labels: str) -> Any:
    return _metric("Gauge", name, text, *labels)


def _metric(kind: str, name: str, text: str, *labels: str, **more: Any) -> Any:
    """The metric of that name, made when it is first asked for."""
    with _creation:  # two threads must not make the same one: prometheus_client refuses a name that it has
        return _make(kind, name, text, labels, tuple(more.items()))


@cache
def _make(kind: str, name: str, text: str, labels: tuple[str, ...], more: tuple[tuple[str, Any], ...]) -> Any:
    # Imported when something is first counted, which is after the first answer: a cold start does not pay for it.
    import prometheus_client

    return getattr(prometheus_client, kind)(f"videotomp3_{name}", text, labels, **dict(more))

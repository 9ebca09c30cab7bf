"""What the bridge counts and measures, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

published = Counter("bridge_published", "Events the broker has confirmed", ["type"])
rejected = Counter("bridge_rejected", "Events the ingress did not take", ["reason"])
deliveries = Counter(
    "bridge_deliveries", "Deliveries that ended: done, replied, retry, dead-letter, parked", ["function", "outcome"]
)
invalid_replies = Counter("bridge_invalid_replies", "Replies that broke the event contract", ["function"])
seconds = Histogram(
    "bridge_function_seconds",
    "Seconds that a function took to answer",
    ["function"],
    buckets=(0.01, 0.1, 1, 10, 60, 600),
)
depth = Gauge("bridge_queue_messages", "Messages in the queue that are ready to be delivered", ["queue"])

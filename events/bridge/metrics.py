"""What the bridge counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

published = Counter("bridge_published", "Events the broker has confirmed", ["type"])
rejected = Counter("bridge_rejected", "Events the ingress did not take", ["reason"])
deliveries = Counter("bridge_deliveries", "How they ended: done, replied, retry, dead, parked", ["function", "outcome"])
invalid_replies = Counter("bridge_invalid_replies", "Replies that were no event of ours", ["function"])
seconds = Histogram("bridge_function_seconds", "Time to answer", ["function"], buckets=(0.01, 0.1, 1, 10, 60, 600))
depth = Gauge("bridge_queue_messages", "Messages that lie ready in the queue", ["queue"])

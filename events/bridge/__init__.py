"""What Knative's broker does, where there is no Knative: events in over HTTP, through RabbitMQ, to functions by URL."""

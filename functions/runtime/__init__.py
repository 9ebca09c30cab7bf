"""What every function stands on: a request in, an answer out, settings, and the one place that builds services."""

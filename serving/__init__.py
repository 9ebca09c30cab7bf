"""What every server process of ours has in common, function or bridge: settings, logs, problems, tracing, worker."""

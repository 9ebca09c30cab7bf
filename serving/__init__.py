"""What every HTTP server of ours has in common, function or bridge: log lines, problem documents, gunicorn's worker."""

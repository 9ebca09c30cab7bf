"""The whole system on one machine, without containers: every server and every function a real process."""

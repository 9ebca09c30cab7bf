"""Passwords and keys of an installation: how they are made, and which service is given which."""

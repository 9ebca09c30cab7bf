"""Passwords and keys of an installation: how they are made, and which service gets which of them."""

"""The functions: one folder each, and the rooms they share."""

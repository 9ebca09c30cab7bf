"""The event contract and what carries events: this package knows functions by URL only."""

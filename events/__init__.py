"""Events: their contract, how a function posts them, and the bridge that delivers them to functions by URL."""

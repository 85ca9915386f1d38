"""Who serves the app: each kind of contender in a file of its own."""

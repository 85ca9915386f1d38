"""What asks: wrk, and clients of our own for what wrk cannot do."""

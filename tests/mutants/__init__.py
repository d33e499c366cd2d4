"""Twenty ways to break the engine boundary, each of which a test must notice."""

"""How long from click to ready, compared; nothing here asserts on time."""

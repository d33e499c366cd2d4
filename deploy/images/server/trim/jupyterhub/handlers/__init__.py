"""The hub's request handlers are not part of the bundle."""

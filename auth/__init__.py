"""Who people are: the login providers, stable accounts, and the names derived from them."""

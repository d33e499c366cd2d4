"""How the database came to its present form; never edited once released."""

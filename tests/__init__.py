"""labhub's tests; README.md has the command that runs them all."""

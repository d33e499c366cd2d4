"""How labhub launches personal servers: pure decisions, one engine boundary, a thin spawner."""

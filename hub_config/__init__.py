"""What the admin says: labhub.yaml, its schema and loader, the hub's settings and its pages."""

"""The hub's database is not part of the bundle; jupyterhub.scopes imports this module by name."""

"""The hub's roles are not part of the bundle; jupyterhub.scopes imports this module by name."""

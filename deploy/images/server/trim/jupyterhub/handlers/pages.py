"""Only what jupyterhub.log names: no request of a user's server is the hub's health check."""


class HealthCheckHandler:
    """Never instantiated."""

"""The one exception that jupyterhub.utils names in an except clause."""


class SQLAlchemyError(Exception):
    """Never raised: nothing in a user's server has a database."""

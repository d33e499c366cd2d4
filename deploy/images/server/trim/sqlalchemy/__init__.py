"""SQLAlchemy is not part of the bundle; jupyterhub.utils names one exception of it."""

"""The Django application; its label is ``accounts`` because ``auth`` is Django's own."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Local accounts."""

    name = "auth.local"
    label = "accounts"

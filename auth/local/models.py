"""What is stored about people. Everything else is Django's groups and the toolkit's tables."""

import uuid
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models

from auth.identity import is_canonical
from auth.local import ADMIN_GROUP


def refuse_uncommon_name(name: str) -> None:
    """Accept only names that the hub keeps exactly as they are."""
    if not is_canonical(name):
        message = (
            f"{name[:40]!r} cannot be a user name: use 1 to 31 lower-case letters and digits, "
            "starting with a letter; some names such as root or admin paths are reserved."
        )
        raise ValidationError(message)


class AccountManager(BaseUserManager["Account"]):
    """Finds accounts by name, as Django's sign-in asks for."""


class Account(AbstractBaseUser):
    """One person. ``sub`` is what providers' clients pin: made once, opaque, never used again."""

    sub = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    username = models.CharField(max_length=31, unique=True, validators=[refuse_uncommon_name])
    name = models.CharField(max_length=100, blank=True)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    is_admin = models.BooleanField(default=False)
    # Part of every setup link's signature, so that a newer link or a lock ends the older links.
    link_number = models.PositiveIntegerField(default=0)
    groups = models.ManyToManyField(Group, related_name="accounts", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[AccountManager] = AccountManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        """Return the user name."""
        return self.username

    @property
    def display_name(self) -> str:
        """What to call this person."""
        return self.name or self.username

    def group_names(self) -> list[str]:
        """Return the groups in alphabetical order, with the admins' group for admins."""
        names = set(self.groups.values_list("name", flat=True)) - {ADMIN_GROUP}
        return sorted(names | ({ADMIN_GROUP} if self.is_admin else set()))


class FailedSignIn(models.Model):
    """How often somebody at one address gave a wrong password for one name."""

    name = models.CharField(max_length=64)
    address = models.CharField(max_length=64)
    failures = models.PositiveIntegerField(default=0)
    blocked_until = models.DateTimeField(null=True)
    last_failed_at = models.DateTimeField(db_index=True)

    class Meta:
        """One row for each pair."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "address"], name="one_row_per_name_and_address")
        ]

    def __str__(self) -> str:
        """Return the pair."""
        return f"{self.name} from {self.address}"

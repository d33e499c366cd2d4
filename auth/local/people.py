"""What an admin can do with accounts. Refusals are RefusedError with one sentence."""

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from oauth2_provider.models import (
    get_access_token_model,
    get_grant_model,
    get_id_token_model,
    get_refresh_token_model,
)

from auth.local import ADMIN_GROUP, SERVICE_PREFIX
from auth.local.audit import record
from auth.local.errors import RefusedError
from auth.local.models import Account

_GROUP_NAME = RegexValidator(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")
FROM_COMMAND_LINE = "command-line"


class SetupLinks(PasswordResetTokenGenerator):
    """Django's single-use tokens, which a newer link or a lock ends as well."""

    key_salt = "auth.local.people.SetupLinks"

    def _make_hash_value(self, user: Account, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}:{user.link_number}"


setup_links = SetupLinks()


def find(name: str) -> Account:
    """Return the account of this name."""
    try:
        return Account.objects.get(username=name)
    except Account.DoesNotExist:
        message = f"There is no account {name[:40]!r}; labhub user list shows all of them."
        raise RefusedError(message) from None


@transaction.atomic
def add(
    username: str, *, is_admin: bool = False, name: str = "", email: str = "", password: str = ""
) -> Account:
    """Create an account; without a password it can only be entered through a setup link."""
    if Account.objects.filter(username=username).exists():
        message = f"There already is an account {username!r}; labhub user link makes a new link."
        raise RefusedError(message)
    account = Account(username=username, is_admin=is_admin, name=name, email=email)
    try:
        if password:
            validate_password(password, account)
            account.set_password(password)
        else:
            account.set_unusable_password()
        account.full_clean()
    except ValidationError as error:
        raise RefusedError(" ".join(error.messages)) from None
    account.save()
    record("account-added", username, admin=is_admin, address=FROM_COMMAND_LINE)
    return account


def make_link(account: Account, service_url: str) -> str:
    """Return a new setup link; older ones of this account end."""
    if not account.is_active:
        message = f"{account} is locked: labhub user unlock {account} first."
        raise RefusedError(message)
    account.link_number += 1
    account.save(update_fields=["link_number"])
    uid = urlsafe_base64_encode(force_bytes(account.pk))
    path = reverse("setup", kwargs={"uidb64": uid, "token": setup_links.make_token(account)})
    record("setup-link-made", account.username, address=FROM_COMMAND_LINE)
    return service_url + path.removeprefix(SERVICE_PREFIX)


@transaction.atomic
def lock(account: Account) -> None:
    """End the account's way in: no sign-in, no token, no setup link works any more."""
    account.is_active = False
    account.link_number += 1
    account.save(update_fields=["is_active", "link_number"])
    revoke_tokens(account)
    record("account-locked", account.username, address=FROM_COMMAND_LINE)


def unlock(account: Account) -> None:
    """Let the person in again, with the password they had."""
    account.is_active = True
    account.save(update_fields=["is_active"])
    record("account-unlocked", account.username, address=FROM_COMMAND_LINE)


@transaction.atomic
def revoke_tokens(account: Account) -> None:
    """End every code and token of this account: the hub must ask the provider again."""
    get_grant_model().objects.filter(user=account).delete()
    refresh_tokens = get_refresh_token_model().objects.filter(user=account, revoked__isnull=True)
    refresh_tokens.update(access_token=None, revoked=timezone.now())
    get_access_token_model().objects.filter(user=account).delete()
    get_id_token_model().objects.filter(user=account).delete()


def change_group(
    group_name: str, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()
) -> list[str]:
    """Add and remove members, all of them or none, and return who is in the group now."""
    _require_group_name(group_name)
    with transaction.atomic():
        joining, leaving = [find(name) for name in add], [find(name) for name in remove]
        if not joining and not Group.objects.filter(name=group_name).exists():
            message = f"There is no group {group_name!r}; --add USER creates it."
            raise RefusedError(message)
        group, _ = Group.objects.get_or_create(name=group_name)
        group.accounts.add(*joining)
        group.accounts.remove(*leaving)
        for account in joining:
            record("group-joined", account.username, group=group_name, address=FROM_COMMAND_LINE)
        for account in leaving:
            record("group-left", account.username, group=group_name, address=FROM_COMMAND_LINE)
    return sorted(group.accounts.values_list("username", flat=True))


def _require_group_name(name: str) -> None:
    if name == ADMIN_GROUP:
        message = (
            f"The group {ADMIN_GROUP} follows from who is an admin: use labhub user add NAME "
            "--admin for a new account, or list the name under login.admins in labhub.yaml."
        )
        raise RefusedError(message)
    try:
        _GROUP_NAME(name)
    except ValidationError:
        message = (
            f"{name[:40]!r} cannot be a group name: use 1 to 63 lower-case letters, digits, - or "
            "_, starting with a letter or a digit."
        )
        raise RefusedError(message) from None


def overview() -> list[dict[str, object]]:
    """Return every account as plain data, by name."""
    return [
        {
            "user": account.username,
            "name": account.name,
            "email": account.email,
            "admin": account.is_admin,
            "locked": not account.is_active,
            "has_password": account.has_usable_password(),
            "groups": account.group_names(),
            "last_sign_in": account.last_login and account.last_login.isoformat(timespec="seconds"),
        }
        for account in Account.objects.order_by("username")
    ]

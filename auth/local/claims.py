"""What tokens say about an account, and for whom tokens work at all."""

# ruff: noqa: ANN401 - the toolkit's requests and tokens have no types

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from oauth2_provider.models import get_grant_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.oauth2 import InvalidGrantError


@contextmanager
def code_used_meanwhile(request: Any) -> Iterator[None]:
    """Refuse a code that was redeemed since it was looked at, where the toolkit would answer 500.

    The toolkit reads the code anew for each of its checks (django-oauth-toolkit, validate_code).
    """
    try:
        yield
    except get_grant_model().DoesNotExist:
        raise InvalidGrantError(request=request) from None


class AccountValidator(OAuth2Validator):
    """The toolkit's rules, and one of ours: a locked account's codes and tokens are dead."""

    oidc_claim_scope: ClassVar = OAuth2Validator.oidc_claim_scope | {"groups": "groups"}

    # Without a request parameter, so that discovery can list the claims.
    def get_additional_claims(self) -> dict[str, Callable[[Any], object]]:
        """Return each claim with the function that computes it from a request."""
        return {
            "sub": lambda request: str(request.user.sub),
            "preferred_username": lambda request: request.user.username,
            "name": lambda request: request.user.display_name,
            "email": lambda request: request.user.email,
            "groups": lambda request: request.user.group_names(),
        }

    def get_oidc_claims(self, token: Any, token_handler: Any, request: Any) -> dict[str, object]:
        """Return the claims of the granted scopes; what is not known is left out."""
        claims = super().get_oidc_claims(token, token_handler, request)
        return {name: value for name, value in claims.items() if value != ""}

    def validate_code(
        self, client_id: str, code: str, client: Any, request: Any, **kw: Any
    ) -> bool:
        """Refuse a code that was issued just before the lock."""
        valid = super().validate_code(client_id, code, client, request, **kw)
        return bool(valid) and request.user.is_active

    def validate_bearer_token(self, token: str, scopes: list[str], request: Any) -> bool:
        """Refuse userinfo at once when the account is locked."""
        valid = super().validate_bearer_token(token, scopes, request)
        return bool(valid) and request.user.is_active

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Any, *args: Any, **kw: Any
    ) -> bool:
        """Refuse a refresh at once when the account is locked."""
        valid = super().validate_refresh_token(refresh_token, client, request, *args, **kw)
        return bool(valid) and request.user.is_active

    # one code in two requests at once

    def get_code_challenge(self, code: str, request: Any) -> Any:
        """Return the challenge of a code."""
        with code_used_meanwhile(request):
            return super().get_code_challenge(code, request)

    def get_code_challenge_method(self, code: str, request: Any) -> Any:
        """Return how the challenge of a code was made."""
        with code_used_meanwhile(request):
            return super().get_code_challenge_method(code, request)

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Any, request: Any, *args: Any
    ) -> bool:
        """Say whether a code was issued for this address."""
        with code_used_meanwhile(request):
            return bool(
                super().confirm_redirect_uri(client_id, code, redirect_uri, client, request, *args)
            )

# ruff: noqa: ANN401 - the standard library's signature
"""What a provider says about itself, fetched when the configuration is loaded.

Never in a request of a person. The last good answer is kept, so that a restart of the hub does not
depend on the provider. Every failure is one sentence.
"""

import hashlib
import http.client
import ipaddress
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
TIMEOUT_SECONDS = 10
DOCUMENT_BYTES_MAX = 1024 * 1024


class LoginError(Exception):
    """Nobody can sign in as things are; the text is one sentence for the admin."""


class DiscoveryError(LoginError):
    """The provider cannot be used as it is, or does not say how."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where to send people and ask about them."""

    issuer: str
    authorize_url: str
    token_url: str
    userinfo_url: str = ""
    end_session_url: str = ""
    basic_auth: bool = True
    offers_groups_scope: bool = False
    advertises_s256: bool = True


def discover(issuer: str, folder: Path, well_known: str = OPENID) -> Endpoints:
    """Return the endpoints that the issuer publishes now, or published when last asked.

    Raises DiscoveryError when there is neither, or when the answer is not the issuer's own.
    """
    kept = folder / f"{hashlib.sha256((issuer + well_known).encode()).hexdigest()[:32]}.json"
    try:
        document = _fetch(issuer.rstrip("/") + well_known)
    except OSError as error:
        document = _read_kept(kept, issuer, error)
        return endpoints_of(issuer, document, well_known)
    endpoints = endpoints_of(issuer, document, well_known)
    _keep(kept, document)
    if not endpoints.advertises_s256:
        log.warning("%s does not advertise PKCE with S256; labhub sends it anyway.", issuer)
    return endpoints


def endpoints_of(issuer: str, document: object, well_known: str = OPENID) -> Endpoints:
    """Take the endpoints out of a discovery document that must be the issuer's own. Pure."""
    if not isinstance(document, Mapping):
        raise DiscoveryError(f"login.issuer: {issuer} does not publish a discovery document.")
    # OpenShift's API server names another host, its OAuth server, as the issuer.
    if well_known == OPENID and not _is_same_issuer(document.get("issuer"), issuer):
        raise DiscoveryError(
            f"login.issuer: {issuer} publishes the issuer {str(document.get('issuer'))[:200]!r}; "
            "write that one, if you trust it."
        )
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Endpoints(
        issuer=_url(document, "issuer", issuer),
        authorize_url=_url(document, "authorization_endpoint", issuer),
        token_url=_url(document, "token_endpoint", issuer),
        userinfo_url=_url(document, "userinfo_endpoint", issuer) if well_known == OPENID else "",
        end_session_url=_optional_url(document, "end_session_endpoint", issuer),
        basic_auth=_uses_basic_auth(methods, issuer),
        offers_groups_scope=_lists(document, "scopes_supported", "groups"),
        advertises_s256=_lists(document, "code_challenge_methods_supported", "S256"),
    )


def _is_same_issuer(published: object, issuer: str) -> bool:
    return isinstance(published, str) and published.rstrip("/") == issuer.rstrip("/")


def _uses_basic_auth(methods: object, issuer: str) -> bool:
    """Prefer the secret in the header; fall back to the body."""
    if not isinstance(methods, list) or "client_secret_basic" in methods:
        return True
    if "client_secret_post" in methods:
        return False
    raise DiscoveryError(
        f"login.issuer: {issuer} takes neither client_secret_basic nor client_secret_post; "
        "allow one of them for this client."
    )


def _lists(document: Mapping[str, Any], key: str, value: str) -> bool:
    values = document.get(key)
    return isinstance(values, list) and value in values


def _optional_url(document: Mapping[str, Any], key: str, issuer: str) -> str:
    return _url(document, key, issuer) if document.get(key) else ""


def _url(document: Mapping[str, Any], key: str, issuer: str) -> str:
    """Return an endpoint that is safe to send secrets to."""
    url = document.get(key)
    if not isinstance(url, str) or not is_safe_url(url):
        raise DiscoveryError(
            f"login.issuer: {issuer} publishes no usable {key} (https is needed), "
            "so nobody could sign in with it."
        )
    return url


def is_safe_url(url: str) -> bool:
    """Say whether a secret may be sent to this URL: https, or a loopback address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    )


def is_loopback(host: str) -> bool:
    """Say whether a host name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SameSafety(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to where a document may come from."""

    def redirect_request(self, req: Any, fp: Any, *rest: Any) -> Any:
        """Return the next request, unless its address is not a safe one."""
        newurl = str(rest[-1])
        if not is_safe_url(newurl):
            raise DiscoveryError(
                f"login.issuer: {req.full_url} leads to {newurl[:200]}: not https."
            )
        return super().redirect_request(req, fp, *rest)


def _fetch(url: str) -> object:
    """Return the JSON document at a URL, OSError when there is none to be had now."""
    if not is_safe_url(url):
        raise DiscoveryError(f"login.issuer: {url} must be https.")
    opener = urllib.request.build_opener(_SameSafety)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked above
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return json.loads(response.read(DOCUMENT_BYTES_MAX))
    except urllib.error.HTTPError as error:
        raise OSError(f"{url} answers {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(f"{url} cannot be reached ({error.reason})") from None
    except (http.client.HTTPException, ValueError):
        raise OSError(f"{url} does not answer with JSON") from None


def _read_kept(kept: Path, issuer: str, error: OSError) -> object:
    """Return the last good document, or say why there is none."""
    try:
        document = json.loads(kept.read_text("utf-8"))
    except (OSError, ValueError):
        raise DiscoveryError(
            f"login.issuer: {error}; check that {issuer} is the provider's issuer "
            "and that this machine can reach it."
        ) from None
    log.warning("%s; going on with what %s published before.", error, issuer)
    return document


def _keep(kept: Path, document: object) -> None:
    """Write the document for the next start; a reader never sees half of it."""
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        json.dump(document, file)
    draft.replace(kept)

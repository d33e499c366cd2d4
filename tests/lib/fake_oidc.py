"""An OpenID Connect provider for tests: strict about the protocol, and able to say no.

    with FakeOidc() as provider:
        provider.add("ada", groups=["staff"])
        provider.signs_in("ada")
        ...                                  # point a client at provider.issuer
        provider.outage = True

It checks client, redirect URI, PKCE (S256 only) and that codes and refresh tokens are used once.
People can be renamed, removed, and their names given to others; it can break in several ways.
"""

import asyncio
import base64
import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import jwt
from aiohttp import web
from yarl import URL

CLIENT_ID = "lab"
CLIENT_SECRET = "only-for-tests"
_KEY = "a key that nobody checks, as tokens come from the token endpoint itself"


@dataclass
class Person:
    """Somebody the provider knows; `sub` stays, everything else may change."""

    sub: str
    claims: dict[str, Any]


@dataclass
class Grant:
    """What a code or token stands for."""

    sub: str
    redirect_uri: str = ""
    challenge: str = ""


@dataclass
class FakeOidc:
    """One provider on a free port of 127.0.0.1, in a thread of its own."""

    people: dict[str, Person] = field(default_factory=dict)
    current: str | None = None
    redirect_uris: set[str] = field(default_factory=set)  # empty: any
    outage: bool = False
    rate_limited: bool = False
    nonsense: bool = False  # answers 200 with a page, as a captive portal does
    gives_refresh_tokens: bool = True
    token_seconds: int | None = 3600
    id_token_sub: str | None = None  # another person's id_token
    secret: str = CLIENT_SECRET
    discovery_changes: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    ended_sessions: list[dict[str, str]] = field(default_factory=list)
    issuer: str = ""
    _codes: dict[str, Grant] = field(default_factory=dict)
    _access: dict[str, Grant] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> Self:
        """Start answering."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the fake provider did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop answering; the port refuses connections afterwards."""
        self.stop()

    def stop(self) -> None:
        """Stop, once."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    # -- what a test does ------------------------------------------------------------------------

    def add(self, name: str, sub: str = "", **claims: Any) -> Person:
        """Make somebody known; a claim of None is not told."""
        sub = sub or f"sub-{len(self.people) + 1}"
        told = {"preferred_username": name, "name": name.title(), **claims}
        self.people[sub] = Person(sub, told)
        return self.people[sub]

    def signs_in(self, name: str | None) -> None:
        """Choose who sits at the browser."""
        self.current = self.by_name(name).sub if name else None

    def by_name(self, name: str) -> Person:
        """Return who has the name now."""
        return next(p for p in self.people.values() if p.claims["preferred_username"] == name)

    def rename(self, old: str, new: str) -> None:
        """Give somebody another name."""
        self.by_name(old).claims["preferred_username"] = new

    def remove(self, name: str) -> None:
        """Forget somebody; their tokens die."""
        self.revoke(name)
        del self.people[self.by_name(name).sub]

    def revoke(self, name: str) -> None:
        """End all tokens of somebody."""
        sub = self.by_name(name).sub
        for tokens in (self._access, self._refresh):
            for token in [token for token, grant in tokens.items() if grant.sub == sub]:
                del tokens[token]

    def expire_access_tokens(self) -> None:
        """Let the time of all access tokens be over."""
        self._access.clear()

    # -- the protocol ----------------------------------------------------------------------------

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._moods])
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/userinfo", self._userinfo),
                web.get("/logout", self._logout),
            ]
        )
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.issuer = f"http://127.0.0.1:{port}"

    @web.middleware
    async def _moods(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request.path)
        if self.outage:
            return web.Response(status=503, text="down for maintenance")
        if self.rate_limited:
            return web.Response(status=429, text="slow down")
        if self.nonsense:
            return web.Response(text="<h1>Welcome to the airport</h1>", content_type="text/html")
        return await handler(request)

    async def _discovery(self, _request: web.Request) -> web.Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            "scopes_supported": ["openid", "profile", "email", "groups"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        } | self.discovery_changes
        return web.json_response(
            {key: value for key, value in document.items() if value is not None}
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        query = request.query
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID or not self._knows(redirect_uri):
            return web.Response(status=400, text="unknown client or redirect URI")
        state = query.get("state", "")
        if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
            return self._back(redirect_uri, state, error="invalid_request")
        if self.current is None:
            return self._back(redirect_uri, state, error="access_denied")
        code = secrets.token_urlsafe(16)
        self._codes[code] = Grant(self.current, redirect_uri, query["code_challenge"])
        return self._back(redirect_uri, state, code=code)

    def _knows(self, redirect_uri: str) -> bool:
        return bool(redirect_uri) and (not self.redirect_uris or redirect_uri in self.redirect_uris)

    @staticmethod
    def _back(redirect_uri: str, state: str, **answer: str) -> web.Response:
        raise web.HTTPFound(URL(redirect_uri).update_query(state=state, **answer))

    async def _token(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._basic():
            return _refuse(401, "invalid_client")
        form = await request.post()
        if form.get("grant_type") == "refresh_token":
            grant = self._refresh.pop(str(form.get("refresh_token")), None)
        else:
            grant = self._redeem(form)
        if grant is None or grant.sub not in self.people:
            return _refuse(400, "invalid_grant")
        return web.json_response(self._tokens(grant.sub))

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{CLIENT_ID}:{self.secret}".encode()).decode()

    def _redeem(self, form: Any) -> Grant | None:
        """Take a code, once, from whoever can prove that they asked for it."""
        grant = self._codes.pop(str(form.get("code")), None)
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if grant is None or grant.redirect_uri != form.get("redirect_uri"):
            return None
        return grant if secrets.compare_digest(grant.challenge, challenge) else None

    def _tokens(self, sub: str) -> dict[str, Any]:
        access = secrets.token_urlsafe(16)
        self._access[access] = Grant(sub)
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "sub": self.id_token_sub or sub}
        answer = {
            "access_token": access,
            "token_type": "Bearer",
            "id_token": jwt.encode(claims, _KEY),
            "expires_in": self.token_seconds,
        }
        if self.gives_refresh_tokens:
            answer["refresh_token"] = secrets.token_urlsafe(16)
            self._refresh[answer["refresh_token"]] = Grant(sub)
        return {key: value for key, value in answer.items() if value is not None}

    async def _userinfo(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        grant = self._access.get(token)
        if grant is None or grant.sub not in self.people:
            return _refuse(401, "invalid_token")
        person = self.people[grant.sub]
        claims = {"sub": person.sub, **person.claims}
        return web.json_response({key: value for key, value in claims.items() if value is not None})

    async def _logout(self, request: web.Request) -> web.Response:
        self.ended_sessions.append(dict(request.query))
        self.current = None
        if "post_logout_redirect_uri" in request.query:
            raise web.HTTPFound(request.query["post_logout_redirect_uri"])
        return web.Response(text="signed out")


def _refuse(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)

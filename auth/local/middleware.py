"""Guards around every request."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render

GetResponse = Callable[[HttpRequest], HttpResponse]

# Paths that are not pages: machines and style sheets ask for them, so no navigation is expected.
NOT_PAGES = (
    "/static/",
    "/health",
    "/o/token/",
    "/o/revoke_token/",
    "/o/userinfo/",
    "/o/.well-known/",
)


class PageHeaders:
    """No caching, no framing, nothing loaded from elsewhere."""

    def __init__(self, get_response: GetResponse) -> None:
        """Remember what answers, and the policy, which is the same for every answer."""
        self.get_response = get_response
        forms_to = " ".join(("'self'", *settings.LABHUB_ORIGINS))
        self.policy = (
            "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action {forms_to}"
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Add the headers."""
        response = self.get_response(request)
        response.setdefault("Cache-Control", "no-store")
        response.setdefault("Content-Security-Policy", self.policy)
        return response


class NoTokenInUrl:
    """A token in a URL ends in logs and histories: such a request is refused as malformed."""

    def __init__(self, get_response: GetResponse) -> None:
        """Remember what answers."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass on."""
        if "access_token" in request.GET:
            return HttpResponseBadRequest("Send the token in the Authorization header.")
        return self.get_response(request)


class TopLevelOnly:
    """Pages answer a person's navigation only.

    User servers may live on the same origin, so a script in a notebook could otherwise fetch or
    frame these pages with the visitor's session. Browsers say how a request came about in headers
    that scripts cannot set. Requests without those headers do not come from a current browser.
    """

    def __init__(self, get_response: GetResponse) -> None:
        """Remember what answers."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass on."""
        mode = request.headers.get("Sec-Fetch-Mode", "navigate")
        destination = request.headers.get("Sec-Fetch-Dest", "document")
        is_page = not request.path_info.startswith(NOT_PAGES)
        if is_page and (mode, destination) != ("navigate", "document"):
            return render(request, "403.html", status=403)
        return self.get_response(request)

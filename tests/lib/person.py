"""A person at a browser without a browser: cookies, redirects and forms as HTML gives them."""

import re
import time
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import quote, urljoin

import requests

TIMEOUT_SECONDS = 30.0


def words(page: requests.Response) -> str:
    """Return where a page is, its status, and what a person reads on it; for failure messages."""
    text = re.sub(r"(?s)<(style|script)\b.*?</\1>|<!--.*?-->|<[^>]*>", " ", page.text)
    return f"{page.status_code} {page.url}\n{' '.join(unescape(text).split())[:2000]}"


class Form(HTMLParser):
    """The first form of a page that posts: where to, and with what already filled in."""

    def __init__(self, html: str) -> None:
        """Read the page."""
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the form's target and its inputs."""
        given = {key: value or "" for key, value in attrs}
        if tag == "form" and self.action is None and given.get("method", "").lower() == "post":
            self.action, self._open = given.get("action", ""), True
        if tag == "input" and self._open and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Stop at the end of the form."""
        if tag == "form":
            self._open = False


class Person:
    """One person's cookies at one hub."""

    def __init__(self, url: str) -> None:
        """Nobody is signed in yet; `url` is the hub's public address without a final slash."""
        self.url = url
        self.web = requests.Session()
        self.web.trust_env = False

    def get(self, path: str, **options: Any) -> requests.Response:
        """Open a page, following redirects."""
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self.web.get(urljoin(self.url, path), **options)

    def submit(
        self, page: requests.Response, values: Mapping[str, str], **options: Any
    ) -> requests.Response:
        """Fill in the page's form and send it."""
        form = Form(page.text)
        if form.action is None:
            message = f"no form on {words(page)}"
            raise AssertionError(message)
        target = urljoin(page.url, form.action)
        options.setdefault("timeout", TIMEOUT_SECONDS)
        headers = {"Referer": page.url, "Origin": self.url}
        return self.web.post(target, data={**form.fields, **values}, headers=headers, **options)

    def login(self, name: str, password: str) -> requests.Response:
        """Sign in through the accounts service; returns the page one ends on, whatever it is."""
        page = self.get("/hub/oauth_login?next=" + quote("/hub/home"))
        if "/services/accounts/" in page.url and 'type="password"' in page.text:
            page = self.submit(page, {"username": name, "password": password})
        return page

    def signed_in(self) -> bool:
        """Whether the hub takes this person for somebody."""
        return self.get("/hub/home", allow_redirects=False).status_code == requests.codes.ok

    @property
    def xsrf(self) -> str:
        """The hub's token against forged requests, as a page's script reads it."""
        for cookie in self.web.cookies:
            if cookie.name == "_xsrf" and cookie.path.startswith("/hub"):
                return cookie.value or ""
        return ""

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the hub's REST API with the cookies, as the hub's own pages do."""
        headers = {"X-XSRFToken": self.xsrf, "Referer": self.url + "/hub/home"}
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self.web.request(method, f"{self.url}/hub/api/{path}", headers=headers, **options)

    def start(self, user: str, **options: str) -> requests.Response:
        """Fill in the spawn form and press Start."""
        page = self.get(f"/hub/spawn/{user}")
        return self.submit(page, options, allow_redirects=False)

    def wait_until_running(self, user: str, *, seconds: float = 60.0) -> requests.Response:
        """Wait for the server's own answer through the proxy."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.get(f"/user/{user}/api", allow_redirects=False)
            if answer.status_code == requests.codes.ok:
                return answer
            time.sleep(0.05)
        message = f"the server of {user} did not answer within {seconds:.0f} s"
        raise TimeoutError(message)

    def __enter__(self) -> Self:
        """Use as a context manager to close the connections."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.web.close()

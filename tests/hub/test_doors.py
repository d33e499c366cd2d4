"""What comes in by the doors of a real hub: more than the quota is refused with a sentence."""

import json
import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
import requests

from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.instance_dir import DEFAULT_CONFIG
from tests.lib.lab import Lab
from tests.lib.person import Person

GIB = 1 << 30
CONFIG = f"""\
login:
  provider: local
images:
  tensorflow: {{title: TensorFlow, image: {TENSORFLOW}}}
quotas:
  default: {{cpus: 2, memory: 4 GiB, shm: 64 MiB, pids: 256, gpus: 0}}
  users:
    ada: {{servers: 3}}
"""
SMALL = {"cpus": 0.5, "memory": "1 GiB"}
TOO_MUCH = "You may have at most 4 GiB of memory; choose that or less."


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """Ada may have three servers, Bob one."""
    with Lab(fake_engine.url, config=CONFIG) as running:
        for name in ("ada", "bob"):
            running.add_user(name)
        yield running


@pytest.fixture(scope="module")
def people(lab: Lab) -> dict[str, Person]:
    """Everybody, signed in."""
    return {name: lab.login(name) for name in ("ada", "bob")}


@pytest.fixture
def ada(people: dict[str, Person]) -> Person:
    return people["ada"]


@pytest.fixture
def bob(people: dict[str, Person]) -> Person:
    return people["bob"]


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, fake_engine: FakeEngine) -> Iterator[None]:
    """No test leaves a server, a name or a choice."""
    yield
    for user in ("ada", "bob"):
        for name in known(lab, user):
            remove = {"remove": True} if name else {}
            lab.api("DELETE", f"users/{user}/servers/{name}", json=remove)
        wait_until(lambda user=user: not set(known(lab, user)) - {""})
        lab.api("PATCH", f"users/{user}/server", json={"user_options": {}})
    wait_until(lambda: not fake_engine.containers())


def known(lab: Lab, user: str) -> dict[str, dict[str, Any]]:
    """Return the servers that a user has, whether they run or not."""
    answer = lab.api("GET", f"users/{user}?include_stopped_servers=1").json()
    servers: dict[str, dict[str, Any]] = answer["servers"]
    return servers


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def told(answer: requests.Response) -> tuple[int, str]:
    """Return an API's answer: status and sentence."""
    return answer.status_code, answer.json()["message"] if answer.content else ""


def read(page: requests.Response) -> str:
    """Return what people read on a page, in one line."""
    main = page.text[page.text.index("<main") :]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def sizes(engine: FakeEngine) -> list[tuple[str, float, int]]:
    """Return each container's server, cores and memory."""
    return [
        (each.labels["labhub.server"], each.host_config["CpuQuota"] / 1e5,
         each.host_config["Memory"])
        for each in engine.containers()
    ]  # fmt: skip


# named servers


def test_named_servers_as_many_as_the_quota_says(lab: Lab, ada: Person, bob: Person) -> None:
    for name in ("day", "night"):
        assert ada.api("PUT", f"users/ada/servers/{name}").status_code == 201
    assert told(ada.api("PUT", "users/ada/servers/more")) == (
        400, "You may have 3 servers, the one without a name included, and have them all: "
             "delete one you do not need.",
    )  # fmt: skip
    none = (400, "You may have one server, so none with a name of its own.")
    for method in ("PUT", "POST"):
        assert told(lab.api(method, "users/bob/servers/night")) == none
    assert told(bob.api("PATCH", "users/bob/server", json={"name": "night"})) == none
    assert none[1] in read(bob.get("/hub/spawn/bob/night"))


def test_the_quota_of_the_owner_counts_whoever_asks(lab: Lab) -> None:
    """The lab's own token may do anything, and has no quota."""
    assert lab.api("PUT", "users/ada/servers/night").status_code == 201
    sentence = "You may have at most 2 cores; choose that or less."
    asked = {"user_options": {"cpus": 3}}
    assert told(lab.api("POST", "users/ada/servers/night", json=asked)) == (400, sentence)


@pytest.mark.parametrize("name", ["lab", "Night", "a--b", "n" * 31, "n%20", "%F0%9F%8C%99"])
def test_names_that_no_server_can_have(ada: Person, name: str) -> None:
    status, sentence = told(ada.api("PUT", f"users/ada/servers/{name}"))
    assert status == 400
    assert sentence.startswith(("The name of a server must be", "The name lab is a page of"))


def test_all_servers_of_a_person_share_their_quota(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    assert lab.api("POST", "users/ada/server", json=SMALL).status_code == 201
    assert lab.api("POST", "users/ada/servers/night").status_code == 201
    assert sizes(fake_engine) == [("", 0.5, GIB), ("night", 1.5, 3 * GIB)]
    assert told(lab.api("POST", "users/ada/servers/more", json=SMALL)) == (
        409, "You may have 2 cores in all, and your other servers have all of it: stop one first.",
    )  # fmt: skip
    page = read(ada.get("/hub/spawn/ada/more"))
    assert "There is no room for this server now" in page
    assert "your other servers have all of it: stop one first." in page


def test_the_start_page_of_a_named_server_counts_the_other_one(lab: Lab, ada: Person) -> None:
    assert lab.api("POST", "users/ada/server", json=SMALL).status_code == 201
    page = ada.get("/hub/spawn/ada/night")
    assert 'Start your server "night"' in read(page)
    assert re.findall(r'<option value="">([^<]*)<', page.text) == ["1.5 cores", "3 GiB", "No limit"]
    assert "your other servers leave 3 GiB of memory" in read(page)


def test_home_lists_named_servers_where_there_may_be_some(
    lab: Lab, ada: Person, bob: Person
) -> None:
    assert "More servers" not in read(bob.get("/hub/home"))
    ada.api("PUT", "users/ada/servers/night")
    home = read(ada.get("/hub/home"))
    for text in ("More servers", "night Not running", "Start night", "Delete night", "Add"):
        assert text in home
    lab.api("POST", "users/ada/servers/night", json=SMALL)
    home = read(ada.get("/hub/home"))
    assert "night Running Open night Stop night" in home


def test_a_name_goes_and_the_files_stay(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/servers/night", json=SMALL)
    volumes = set(fake_engine.life.volumes)
    ada.api("DELETE", "users/ada/servers/night", json={"remove": True})
    wait_until(lambda: "night" not in known(lab, "ada"))
    assert set(fake_engine.life.volumes) == volumes


# choices


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_choice_beyond_the_quota_is_kept_nowhere(lab: Lab, ada: Person, method: str) -> None:
    if method == "PATCH":
        ada.api("PUT", "users/ada/servers/night")
    asked = {"user_options": {"memory": "5 GiB"}}
    assert told(ada.api(method, "users/ada/servers/night", json=asked)) == (400, TOO_MUCH)
    assert "5 GiB" not in str(known(lab, "ada"))


def test_the_form_says_why_and_offers_the_choice_again(
    bob: Person, fake_engine: FakeEngine
) -> None:
    page = bob.start("bob", image="tensorflow", memory="5 GiB")
    assert page.status_code == 400
    assert TOO_MUCH in read(page)
    assert '<select class="form-select" id="size-memory"' in page.text
    assert fake_engine.containers() == []


@pytest.mark.parametrize("query", ["", "?opt-memory=5%20GiB"], ids=["form", "query"])
def test_a_refused_choice_is_one_line_of_the_log(lab: Lab, bob: Person, query: str) -> None:
    before = lab.hub.log.stat().st_size
    page = bob.get(f"/hub/spawn/bob{query}") if query else bob.start("bob", memory="5 GiB")
    assert page.status_code == 400
    logged = lab.hub.log.read_text()[before:]
    assert TOO_MUCH in logged
    assert "Traceback" not in logged


def test_a_query_is_no_way_around(bob: Person, fake_engine: FakeEngine) -> None:
    for query in ("opt-memory=5%20GiB", "memory=5%20GiB", "opt-memory=1%20GiB&opt-memory=5%20GiB"):
        page = bob.get(f"/hub/spawn/bob?{query}")
        assert page.status_code == 400
    assert fake_engine.containers() == []


def test_the_form_starts_what_was_chosen(bob: Person, fake_engine: FakeEngine) -> None:
    bob.start("bob", image="tensorflow", cpus="1", memory="2048 MiB", session="7200 s")
    bob.wait_until_running("bob")
    assert sizes(fake_engine) == [("", 1, 2 * GIB)]


def test_a_choice_from_before_is_shown_again(lab: Lab, bob: Person) -> None:
    bob.api("PATCH", "users/bob/server", json={"user_options": {"memory": "2048 MiB"}})
    page = bob.get("/hub/spawn/bob").text
    assert '<option value="2048 MiB" selected>2 GiB</option>' in page


def test_a_choice_from_before_that_is_too_much_by_now_counts_as_none(
    lab: Lab, bob: Person, fake_engine: FakeEngine
) -> None:
    bob.api("PATCH", "users/bob/server", json={"user_options": {"memory": "4 GiB", "cpus": 1}})
    lab.dir.config.write_text(CONFIG.replace("memory: 4 GiB", "memory: 2 GiB"))
    try:
        asked = {"user_options": {"memory": "3 GiB"}}
        wait_until(lambda: bob.api("PATCH", "users/bob/server", json=asked).status_code == 400)
        assert lab.api("POST", "users/bob/server").status_code == 201
        assert sizes(fake_engine) == [("", 2, 2 * GIB)]
    finally:
        lab.dir.config.write_text(CONFIG)
        lab.api("DELETE", "users/bob/server")
        wait_until(lambda: bob.api("PATCH", "users/bob/server", json=asked).status_code != 400)


# bodies that are no choice


JSON_OBJECT = "The options for a server must be a JSON object."


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "The options for a server must be JSON, and this is none."),
        ('{"cpus": NaN}', "The options for a server must be JSON, and this is none."),
        ("[" * 9000, "The options for a server must be JSON, and this is none."),
        (b"\xff{}", "The options for a server hold characters that are no text."),
        ('{"image": "\\ud800"}', "The options for a server hold characters that are no text."),
        ("[1]", JSON_OBJECT),
        ('"cpus"', JSON_OBJECT),
        ("1", JSON_OBJECT),
        (json.dumps({"image": "x" * (1 << 20)}),
         "The options for a server are too large: they are a few words and numbers."),
    ],
)  # fmt: skip
def test_what_is_no_json_object(lab: Lab, method: str, body: str | bytes, sentence: str) -> None:
    assert told(lab.api(method, "users/ada/servers/night", data=body)) == (400, sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"x": 1}, "A server has no field x; there are name, display_name and user_options."),
        ({"name": 5}, "The name of a server must be one word of small letters"),
        ({"name": "n", "display_name": None}, "The name of a server must be one word"),
        ({"user_options": [1]}, JSON_OBJECT),
        ({"user_options": None}, JSON_OBJECT),
    ],
)
def test_what_no_server_can_become(lab: Lab, body: dict[str, Any], sentence: str) -> None:
    status, message = told(lab.api("PATCH", "users/bob/server", json=body))
    assert status == 400
    assert message.startswith(sentence)


def test_a_form_of_bytes_that_are_no_text(bob: Person) -> None:
    page = bob.get("/hub/spawn/bob")
    answer = bob.submit(page, {"memory": b"\xff\xfe"})  # type: ignore[dict-item]
    assert answer.status_code == 400
    assert "hold characters that are no text" in read(answer)
    assert bob.get("/hub/spawn/bob?opt-image=%FF").status_code == 400


def test_a_users_name_stays(lab: Lab) -> None:
    status, sentence = told(lab.api("PATCH", "users/bob", json={"name": "rob"}))
    assert (status, sentence[:40]) == (400, "A person's name cannot be changed here: ")
    assert lab.api("PATCH", "users/bob", json={"name": "bob"}).status_code == 200
    assert lab.api("GET", "users/rob").status_code == 404


def test_the_default_settings_give_nobody_a_second_server() -> None:
    assert "servers" not in DEFAULT_CONFIG

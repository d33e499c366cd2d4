"""Starting and stopping servers through the real hub, and what people read when it goes wrong."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.lib.fake_engine import Call, FakeEngine
from tests.lib.lab import Lab
from tests.lib.person import Person

CREATE, START = "/containers/create$", "/start$"

pytestmark = pytest.mark.usefixtures("ada")


@pytest.fixture(scope="module")
def ada(lab: Lab) -> Person:
    """Somebody with an account who has signed in."""
    lab.add_user("ada")
    return lab.login("ada")


@pytest.fixture(autouse=True)
def stopped(lab: Lab, fake_engine: FakeEngine) -> Iterator[None]:
    """No test leaves a server, or a container that nobody wants."""
    yield
    fake_engine.clear_faults()
    lab.api("DELETE", "users/ada/server")
    wait_until(lambda: not model(lab) and not fake_engine.containers())


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def model(lab: Lab, user: str = "ada") -> dict[str, object]:
    """Return the hub's view of the user's server, empty when there is none."""
    servers = lab.api("GET", f"users/{user}").json()["servers"]
    return servers.get("") or {}


def start(lab: Lab, **options: object) -> requests.Response:
    body = {"user_options": options} if options else None
    return lab.api("POST", "users/ada/server", json=body)


def events(lab: Lab, user: str = "ada") -> list[dict[str, object]]:
    """Follow the start until it is over; return what a pending page would be told."""
    answer = lab.api("GET", f"users/{user}/server/progress", stream=True, timeout=30)
    lines = (line.decode() for line in answer.iter_lines())
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def test_a_start_makes_one_container_and_a_stop_leaves_none(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    assert start(lab).status_code == 201
    assert model(lab)["ready"] is True
    assert ada.get("/user/ada/api").json()["version"]
    [container] = fake_engine.servers()
    assert container.labels == {
        "labhub.instance": lab.name,
        "labhub.role": "server",
        "labhub.user": "ada",
        "labhub.server": "",
        "labhub.account": container.labels["labhub.account"],
        "labhub.image": "tensorflow",
        "labhub.run": container.labels["labhub.run"],
    }
    assert lab.api("DELETE", "users/ada/server").status_code == 204
    assert fake_engine.containers() == []
    assert f"{lab.name}-ada-{container.labels['labhub.account']}" in fake_engine.life.volumes


def test_every_start_is_a_fresh_container_with_a_name_of_its_own(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    names = set()
    for _ in range(3):
        assert start(lab).status_code == 201
        names |= {container.name for container in fake_engine.containers()}
        assert lab.api("DELETE", "users/ada/server").status_code == 204
    assert len(names) == 3


def of_a_round(call: Call) -> bool:
    """Whether the watch asked this, which looks at all users' containers now and then."""
    filters = call.query.get("filters", "")
    return call.path == "/containers/json" and "labhub.user" not in filters


def test_a_warm_start_makes_no_needless_calls(lab: Lab, fake_engine: FakeEngine) -> None:
    start(lab)
    lab.api("DELETE", "users/ada/server")
    before = len(fake_engine.calls)
    assert start(lab).status_code == 201
    calls = [call for call in fake_engine.calls[before:] if not of_a_round(call)]
    made = [(call.method, call.path.rpartition("/")[2]) for call in calls]
    changes = [call for call in made if call[0] != "GET"]
    assert changes == [("POST", "create"), ("POST", "create"), ("POST", "start")]
    # image, leftovers, limits, address; one more a second while it is slow, or a look by the watch
    assert 4 <= len(made) - len(changes) <= 7


def test_the_limits_of_the_file_reach_the_engine_and_the_server(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    start(lab)
    [container] = fake_engine.servers()
    host, environment = container.host_config, container.environment
    assert (host["Memory"], host["MemorySwap"]) == (1 << 30, 1 << 30)
    assert (host["CpuQuota"], host["PidsLimit"], host["ShmSize"]) == (100_000, 256, 64 << 20)
    assert (environment["MEM_LIMIT"], environment["CPU_LIMIT"]) == (str(1 << 30), "1.0")
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_the_form_starts_the_chosen_image(ada: Person, fake_engine: FakeEngine) -> None:
    answer = ada.start("ada", image="tensorflow")
    assert answer.status_code == 302
    ada.wait_until_running("ada")
    assert fake_engine.containers()[0].labels["labhub.image"] == "tensorflow"


def test_the_steps_are_told_in_order(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(boot_seconds=1.5)
    ada.start("ada", image="tensorflow")
    told = events(lab)
    assert [event["message"] for event in told[:-1]] == [
        "Server requested",
        "Looking for your image and your files",
        "Creating the container",
        "Starting the container",
        "Waiting for JupyterLab to answer",
    ]
    assert told[-1]["ready"] is True


OPTION = "The option image must be one word: the name of an image on the start page."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"image": "x"}, "There is no image x; choose one of: tensorflow."),
        ({"image": ["tensorflow"]}, OPTION),
        ({"image": None}, OPTION),
        ({"memory": "1 TiB"}, "You may have at most 1 GiB of memory; choose that or less."),
        ({"image": "tensorflow", "gpus": 8}, "You may have at most 1 GPU; choose that or less."),
        (
            {"mem_limit": "1 TiB"},
            "There is no option mem_limit; there are image, cpus, memory, gpus and session.",
        ),
    ],
)
def test_options_that_are_not_on_offer(
    lab: Lab, fake_engine: FakeEngine, options: dict[str, object], sentence: str
) -> None:
    before = len(fake_engine.calls_to("POST", CREATE))
    answer = start(lab, **options)
    assert (answer.status_code, answer.json()["message"]) == (400, sentence)
    assert len(fake_engine.calls_to("POST", CREATE)) == before
    assert start(lab).status_code == 201


def test_a_user_who_never_signed_in(lab: Lab, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/bob")
    assert lab.api("POST", "users/bob/server").status_code == 403
    assert fake_engine.containers() == []


LOG = ("Traceback <most recent>", "ValueError: token=c0ffee", "\x1b[31mred\x1b[0m")


def test_why_a_server_died_reaches_every_reader(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(exit_code=3, exit_seconds=1.5, log=LOG)
    ada.start("ada", image="tensorflow")
    failed = events(lab)[-1]
    sentence = "The server ended while it was starting, with exit code 3."
    tail = "Traceback &lt;most recent&gt;\nValueError: token=[hidden]\nred"
    assert failed["failed"] is True
    assert failed["message"] == f"Spawn failed: {sentence}"
    assert failed["html_message"] == (
        f'<p>{sentence}</p><p>The last lines of its log:</p><pre class="log-tail">{tail}</pre>'
    )
    page = ada.get("/hub/spawn-pending/ada")
    assert page.status_code == 500
    assert sentence in page.text
    assert tail in page.text
    assert "c0ffee" not in page.text
    assert fake_engine.containers() == []


FAILURES = [
    pytest.param(
        {"exit_code": 137, "oom": True},
        "The server ran out of memory while starting: its limit is 1 GiB.",
        id="out of memory",
    ),
    pytest.param(
        {"exit_code": 0},
        "The server ended while it was starting, with exit code 0.",
        id="ended well, which is no better",
    ),
    pytest.param(
        {"start_error": 'could not select device driver "" with capabilities: [[gpu]]'},
        "Docker refused to start the server: "
        'could not select device driver "" with capabilities: [[gpu]]',
        id="refused",
    ),
    pytest.param(
        {"start_error": "write /x: no space left on device"},
        "There is no space left on this machine's disk; tell your administrator.",
        id="no space",
    ),
]


@pytest.mark.parametrize(("plan", "sentence"), FAILURES)
def test_why_a_start_failed(
    lab: Lab, fake_engine: FakeEngine, plan: dict[str, object], sentence: str
) -> None:
    fake_engine.next_server(**plan)
    assert start(lab).json()["message"] == sentence
    assert fake_engine.containers() == []
    assert start(lab).status_code == 201


def test_an_image_that_is_not_there(lab: Lab, fake_engine: FakeEngine) -> None:
    fake_engine.fail("GET", "/images/.*/json", status=404, message="No such image: t:1")
    assert start(lab).json()["message"].startswith("The image tensorflow/tensorflow:2.9.0-gpu-")


def test_the_spawn_page_shows_the_failure_too(ada: Person, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(exit_code=3, log=("what went wrong",))
    page = ada.start("ada", image="tensorflow")
    assert page.status_code == 500
    assert "with exit code 3." in page.text
    assert "what went wrong" in page.text

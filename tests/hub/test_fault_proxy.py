"""The fault proxy passes on what it is not told to spoil, and each fault does what it says."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, NotFound

from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import CALL_KINDS, STREAM_KINDS, Fault, Kind

BODY: dict[str, Any] = {"Image": TENSORFLOW, "Labels": {"labhub.user": "ada"}}
INSPECT = r"^/containers/ada/json$"
TIMEOUT_SECONDS = 2
PATIENT_SECONDS = 10


@pytest.fixture(scope="module")
def proxy(fake_engine: FakeEngine) -> Iterator[FaultProxy]:
    """A proxy for all tests of the module."""
    with FaultProxy(fake_engine.socket) as running:
        yield running


@pytest.fixture
def api(fake_engine: FakeEngine, proxy: FaultProxy) -> Iterator[docker.APIClient]:
    """A client behind the proxy, and a container called ada that was created directly."""
    with docker.APIClient(base_url=fake_engine.url, version="auto", timeout=10) as direct:
        direct.create_container_from_config(BODY, "ada")
        with client_of(proxy, TIMEOUT_SECONDS) as client:
            yield client
        proxy.clear()
        for container in direct.containers(all=True):
            direct.remove_container(container["Id"], force=True)


def client_of(proxy: FaultProxy, seconds: float) -> docker.APIClient:
    return docker.APIClient(base_url=proxy.url, version="1.41", timeout=seconds)


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# without a fault


def test_calls_streams_and_archives_come_through(
    api: docker.APIClient, fake_engine: FakeEngine
) -> None:
    assert api.inspect_container("ada")["Name"] == "/ada"
    fake_engine.life.container("ada").say("one", "two")
    assert api.logs("ada", tail=1) == b"two\n"
    chunks, stat = api.get_archive("ada", "/etc/passwd")
    assert stat["name"] == "passwd"
    assert b"root:x:0:0" in b"".join(chunks)
    with pytest.raises(NotFound):
        api.inspect_container("bob")
    api.start("ada")
    assert api.create_volume("home", labels={"a": "b"})["Name"] == "home"


def test_a_waiting_call_is_answered_as_soon_as_the_engine_knows(
    api: docker.APIClient, proxy: FaultProxy, fake_engine: FakeEngine
) -> None:
    codes: queue.Queue[int] = queue.Queue()
    api.start("ada")
    with client_of(proxy, 10) as patient:
        waiter = threading.Thread(target=lambda: codes.put(patient.wait("ada")["StatusCode"]))
        waiter.start()
        fake_engine.die("ada", 3)
        assert codes.get(timeout=PATIENT_SECONDS) == 3
        waiter.join(timeout=PATIENT_SECONDS)


def test_a_stream_whose_reader_leaves_is_closed_behind_the_proxy(
    proxy: FaultProxy,
) -> None:
    with client_of(proxy, 10) as api:
        stream = api.events()
        wait_until(lambda: [call.path for call in proxy.open] == ["/events"])
        stream.close()
    wait_until(lambda: not proxy.open)


# which calls


def test_a_fault_meets_only_the_calls_it_is_meant_for(
    api: docker.APIClient, proxy: FaultProxy
) -> None:
    mine = Fault(
        Kind.ERROR,
        "POST",
        "/containers/create$",
        lambda call: call.body["Labels"]["labhub.user"] == "bob" and call.query["name"] == "b-2",
    )
    proxy.add(mine)
    bobs = {"Image": TENSORFLOW, "Labels": {"labhub.user": "bob"}}
    api.create_container_from_config(bobs, "b-1")
    api.create_container_from_config(BODY, "a-2")
    assert mine.hits == 0
    with pytest.raises(APIError):
        api.create_container_from_config(bobs, "b-2")
    assert mine.hits == 1
    proxy.clear(mine)
    api.create_container_from_config(bobs, "b-2")
    assert mine.hits == 1


def test_a_fault_happens_as_often_as_it_was_told(api: docker.APIClient, proxy: FaultProxy) -> None:
    fault = proxy.add(Fault(Kind.ERROR, "GET", INSPECT, times=2))
    for _ in range(2):
        with pytest.raises(APIError):
            api.inspect_container("ada")
    assert api.inspect_container("ada")["Name"] == "/ada"
    assert fault.hits == 2


# each fault of a call


def refused(api: docker.APIClient, _proxy: FaultProxy, _fault: Fault) -> None:
    with pytest.raises(requests.ConnectionError, match="closed connection without response"):
        api.start("ada")


def hung(api: docker.APIClient, proxy: FaultProxy, fault: Fault) -> None:
    with pytest.raises(requests.Timeout):
        api.start("ada")
    with client_of(proxy, 10) as patient:
        threading.Timer(0.2, proxy.clear, [fault]).start()
        with pytest.raises(requests.ConnectionError, match="closed connection without response"):
            patient.start("ada")


def late(api: docker.APIClient, proxy: FaultProxy, fault: Fault) -> None:
    with pytest.raises(requests.Timeout):
        api.start("ada")
    assert api.inspect_container("ada")["State"]["Status"] == "created"
    proxy.clear(fault)
    wait_until(lambda: api.inspect_container("ada")["State"]["Running"])


def slow(_api: docker.APIClient, proxy: FaultProxy, fault: Fault) -> None:
    fault.seconds = 0.2
    with client_of(proxy, 10) as patient:
        begin = time.monotonic()
        patient.start("ada")
        assert time.monotonic() - begin >= 0.2


def drip(_api: docker.APIClient, proxy: FaultProxy, fault: Fault) -> None:
    fault.seconds = 0.03
    with client_of(proxy, 2) as api:  # each byte comes in time, all of them do not
        begin = time.monotonic()
        api.start("ada")
        assert time.monotonic() - begin >= 2
        fault.seconds = 1
        threading.Timer(0.1, proxy.clear, [fault]).start()
        with client_of(proxy, 10) as patient:
            assert not patient.start("ada")


def error(api: docker.APIClient, _proxy: FaultProxy, _fault: Fault) -> None:
    with pytest.raises(APIError) as raised:
        api.start("ada")
    assert raised.value.status_code == 500


def gone_once(api: docker.APIClient, _proxy: FaultProxy, _fault: Fault) -> None:
    with pytest.raises(NotFound, match="No such container"):
        api.start("ada")
    api.start("ada")


def cut_off(api: docker.APIClient, _proxy: FaultProxy, _fault: Fault) -> None:
    with pytest.raises(requests.RequestException, match="IncompleteRead"):
        api.start("ada")


def halved(api: docker.APIClient, proxy: FaultProxy, _fault: Fault) -> None:
    api.start("ada")  # an answer without a body has no half
    fault = proxy.add(Fault(Kind.HALF_JSON, "GET", INSPECT))
    with pytest.raises(ValueError):
        api.inspect_container("ada")
    assert fault.hits == 1


CHECKS: dict[Kind, tuple[Callable[[docker.APIClient, FaultProxy, Fault], None], bool]] = {
    Kind.REFUSE: (refused, False),
    Kind.LOST: (refused, True),
    Kind.HANG: (hung, False),
    Kind.LATE: (late, True),
    Kind.SLOW: (slow, True),
    Kind.DRIP: (drip, True),
    Kind.ERROR: (error, False),
    Kind.GONE_ONCE: (gone_once, True),
    Kind.TRUNCATED: (cut_off, True),
    Kind.HALF_JSON: (halved, True),
}


@pytest.mark.parametrize("kind", sorted(CALL_KINDS))
def test_each_fault_of_a_call(
    api: docker.APIClient, proxy: FaultProxy, fake_engine: FakeEngine, kind: Kind
) -> None:
    check, done = CHECKS[kind]
    fault = proxy.add(Fault(kind, "POST", "/start$"))
    check(api, proxy, fault)
    assert fault.hits
    assert fake_engine.life.container("ada").running is done


def test_a_chunked_answer_can_be_cut_off_too(
    api: docker.APIClient, proxy: FaultProxy, fake_engine: FakeEngine
) -> None:
    fake_engine.life.container("ada").say("one")
    proxy.add(Fault(Kind.TRUNCATED, "GET", "/logs$"))
    with pytest.raises(requests.RequestException, match="prematurely"):
        api.logs("ada")


# each fault of the event stream


class Listener:
    """What arrives of an event stream, and that it ended."""

    def __init__(self, proxy: FaultProxy) -> None:
        """Listen from now on, in a thread of its own."""
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._client = client_of(proxy, 10)
        self._stream = self._client.events()
        wait_until(lambda: proxy.open)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        try:
            for chunk in self._stream:
                *lines, rest = (rest + chunk).split(b"\n")
                self.lines += [line.decode() for line in lines]
        except requests.RequestException:
            pass
        self.lines += [rest.decode()] if rest else []
        self.ended.set()

    def close(self) -> None:
        """Stop listening."""
        self._stream.close()
        self._client.close()
        self._thread.join(timeout=PATIENT_SECONDS)

    @property
    def actions(self) -> list[str]:
        """What happened, as far as the lines can be read; "?" for the others."""
        return [_action(line) for line in self.lines]


def _action(line: str) -> str:
    try:
        return str(json.loads(line)["Action"])
    except ValueError:
        return "?"


@pytest.fixture
def listener(api: docker.APIClient, proxy: FaultProxy) -> Iterator[Listener]:
    """Somebody who listens already when a fault begins."""
    listening = Listener(proxy)
    yield listening
    proxy.clear()
    listening.close()


LIES: dict[Kind, tuple[list[str], bool]] = {
    Kind.DUPLICATE: (["start", "start", "die", "die"], False),
    Kind.DELAY: (["start", "die"], False),
    Kind.REORDER: (["die", "start"], False),
    Kind.DROP: (["destroy"], False),
    Kind.CUT: ([], True),
    Kind.CUT_LINE: (["?"], True),
    Kind.GARBLE: (["?", "?"], False),
}


@pytest.mark.parametrize("kind", sorted(STREAM_KINDS))
def test_each_fault_of_the_event_stream(
    listener: Listener, proxy: FaultProxy, fake_engine: FakeEngine, kind: Kind
) -> None:
    actions, ended = LIES[kind]
    fault = proxy.add(Fault(kind, "GET", "^/events$", seconds=0.5))
    begin = time.monotonic()
    with client_of(proxy, 10) as api:
        api.start("ada")
        fake_engine.die("ada")
        wait_until(lambda: fault.hits)
        if kind is Kind.DROP:
            wait_until(lambda: fault.hits == 2)
            proxy.clear(fault)
            api.remove_container("ada")
    wait_until(lambda: len(listener.lines) >= len(actions) and listener.ended.is_set() >= ended)
    assert listener.actions == actions
    assert kind is not Kind.DELAY or time.monotonic() - begin >= 0.5


def test_events_can_be_meant_by_what_they_say(
    listener: Listener, proxy: FaultProxy, fake_engine: FakeEngine
) -> None:
    fault = proxy.add(Fault(Kind.DROP, "GET", "^/events$", text='"Action": "start"'))
    with client_of(proxy, 10) as api:
        api.start("ada")
    fake_engine.die("ada")
    wait_until(lambda: listener.lines)
    assert listener.actions == ["die"]
    assert fault.hits == 1


def test_every_fault_is_tried_above() -> None:
    assert set(CHECKS) == CALL_KINDS
    assert set(LIES) == STREAM_KINDS

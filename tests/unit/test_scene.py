"""What the queue decides on, from what the store and the file say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub_config.schema import Config
from spawner import board
from spawner.admission import Room
from spawner.devices import Device
from spawner.lease import Lease, Scene, Ticket, rules
from spawner.place import Place, Waits
from spawner.quota import Person, Quota, effective
from spawner.recent import lately
from spawner.runs import Holder, Run
from spawner.scene import Records, Stock, due_at, scene
from spawner.shortage import Shortage, shortage
from spawner.usage import Span
from spawner.waiting import Drain, Waiting

GIB, HOUR = 1 << 30, 3600
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONFIG = Config.model_validate(
    {
        "quotas": {
            "groups": {
                "staff": {"priority": 2},
                "students": {"total": {"gpus": 2, "memory": "64 GiB"}},
            }
        }
    }
)
STOCK = Stock((Device("GPU-a"), Device("GPU-b")), Room(memory_bytes=100 * GIB, gpus=2))
RUN = Run(
    "lab-bob-1", Holder("bob", ""), "image", 8 * GIB, NOW - timedelta(hours=1), "c0ffee",
    cpus=2, pids=64, gpus=1, groups=frozenset({"students"}), devices=("GPU-a",),
    session_seconds=4 * HOUR, extended_seconds=HOUR,
)  # fmt: skip
WAITING = Waiting(
    Holder("ada", "night"), NOW - timedelta(minutes=5), 1, 2.0, 4 * GIB, 64, 2 * HOUR,
    frozenset({"staff", "students"}), rank=1, lost_at=NOW,
)  # fmt: skip


def whole(run: Run) -> Quota:
    return effective(CONFIG, Person(run.holder.user, run.groups), NOW)


def test_a_scene_is_the_records_in_the_words_of_the_queue() -> None:
    records = Records((RUN,), (WAITING,), (Drain("GPU-b", NOW),), {"bob": 60.0})
    assert scene(CONFIG, STOCK, records, whole, NOW) == Scene(
        rules=rules(CONFIG.gpus),
        devices=(Device("GPU-a"), Device("GPU-b", draining=True)),
        leases=[
            Lease(
                RUN.holder, ("GPU-a",), RUN.began.timestamp(),
                (NOW + timedelta(hours=4)).timestamp(),
                {("students", "GPUs"): 1, ("students", "memory"): 8 * GIB, ("", "memory"): 8 * GIB},
                due=(NOW + timedelta(hours=4)).timestamp(),
                notice=1800,
            )
        ],
        tickets=[
            Ticket(
                WAITING.holder, 1, WAITING.since.timestamp(), 2 * HOUR,
                {("students", "GPUs"): 1, ("students", "memory"): 4 * GIB, ("", "memory"): 4 * GIB},
                priority=2, rank=1, lost=NOW.timestamp(),
            )
        ],
        caps={
            ("students", "GPUs"): 2, ("students", "memory"): 64 * GIB, ("", "memory"): 100 * GIB
        },
        used={"bob": 60.0},
    )  # fmt: skip


def test_a_server_that_is_started_anew_keeps_its_devices_and_nothing_else() -> None:
    again = replace(WAITING, holder=RUN.holder)
    [lease] = scene(CONFIG, STOCK, Records((RUN,), (again,)), whole, NOW).leases
    assert (lease.devices, lease.draws) == (("GPU-a",), {})


def test_until_when_a_lease_goes_on() -> None:
    assert due_at(RUN) == NOW + timedelta(hours=4)
    assert due_at(replace(RUN, session_seconds=None)) is None
    warned = replace(RUN, warned_at=NOW, ends_at=NOW + timedelta(minutes=30))
    [lease] = scene(CONFIG, STOCK, Records((warned,)), whole, NOW).leases
    assert lease.until == (NOW + timedelta(minutes=30)).timestamp()
    assert lease.due == (NOW + timedelta(hours=4)).timestamp()
    assert lease.notice == 0
    short = replace(RUN, session_seconds=HOUR)
    [lease] = scene(CONFIG, STOCK, Records((short,)), whole, NOW).leases
    assert lease.notice == HOUR / 4


def test_the_board_shows_every_device_also_one_that_is_gone() -> None:
    gone = replace(RUN, devices=("GPU-gone",), offered=NOW, session_seconds=None)
    drained = Drain("GPU-b", NOW, "ada")
    found = board.devices(STOCK.devices, Records((RUN, gone), (), (drained,)))
    assert [
        (each["id"], each["seen"], each["draining"], each["drained_by"]) for each in found
    ] == [
        ("GPU-a", True, False, ""), ("GPU-b", True, True, "ada"), ("GPU-gone", False, False, ""),
    ]  # fmt: skip
    assert [each["leases"] for each in found] == [[board.lease(RUN)], [], [board.lease(gone)]]
    assert board.lease(gone) == {
        "user": "bob", "server": "", "name": "bob", "devices": ["GPU-gone"],
        "since": "2026-03-02T11:00:00+00:00", "until": None, "unclaimed": True,
    }  # fmt: skip


LINE = [
    Waits(WAITING.holder, 1, 2 * HOUR, WAITING.since.timestamp()),
    Waits(RUN.holder, 0, None, 0),
]


def test_the_board_shows_who_waits_in_their_order() -> None:
    bob = replace(WAITING, holder=RUN.holder, gpus=0, asked_seconds=None, lost_at=None, rank=0)
    new = replace(WAITING, holder=Holder("cyd", ""))
    places = {
        RUN.holder: Place(2, None, LINE),
        WAITING.holder: Place(1, NOW.timestamp() + 61, LINE),
    }
    found = board.queue([new, bob, WAITING], places)
    assert [(each["name"], each["position"], each["eta"]) for each in found] == [
        ("ada/night", 1, "2026-03-02T12:01:00+00:00"), ("bob", 2, None), ("cyd", None, None),
    ]  # fmt: skip
    assert [(each["waits_for"], each["asks_for"]) for each in found[:2]] == [
        ("1 GPU, 4 GiB", "2 h"), ("4 GiB", "no end"),
    ]  # fmt: skip
    assert Holder.of(WAITING.holder.text) == WAITING.holder


def test_a_place_names_nobody_but_for_admins() -> None:
    place = Place(2, NOW.timestamp() + 60, LINE)
    assert place.shown(NOW.timestamp()) == {
        "position": 2, "waiting": 2, "gpus": 0, "eta_seconds": 60.0,
        "sentence": "There is no room now. You are number 2 in the queue; memory is yours in "
        "about 1 min.",
        "ahead": [{"text": "1 GPU for 2 h, waiting since 5 min"}],
    }  # fmt: skip
    [ahead] = place.shown(NOW.timestamp(), names=True)["ahead"]
    assert ahead == {"text": "1 GPU for 2 h, waiting since 5 min", "name": "ada/night"}


def test_who_waits_for_the_groups_total_reads_that() -> None:
    total = {("staff", "GPUs"): 3, ("", "memory"): 9}
    leases = [
        Lease(Holder(name, ""), (f"GPU-{name}",), 0, draws={("staff", "GPUs"): count})
        for name, count in (("bob", 1), ("cyd", 1), ("dan", 0))
    ]
    mine = Ticket(Holder("ada", ""), 2, 0, draws={("staff", "GPUs"): 2, ("", "memory"): 99})
    all_of_it = Scene(rules(CONFIG.gpus), (), leases, (mine,), total)
    found = shortage(all_of_it, mine)
    assert found == Shortage("staff", "3 GPUs", "2 GPUs", (Holder("bob", ""), Holder("cyd", "")))
    assert shortage(all_of_it, replace(mine, draws={("staff", "GPUs"): 1})) is None
    assert shortage(all_of_it, replace(mine, draws={})) is None
    place = Place(1, None, LINE, found)
    assert place.shown(0)["sentence"] == (
        "The group staff may have 3 GPUs in all, and 2 other servers of its members have 2 GPUs. "
        "You are next; nobody can tell when a GPU is yours."
    )
    assert "and bob and cyd have 2 GPUs" in place.shown(0, names=True)["sentence"]


def test_gpu_time_lately_is_half_as_much_after_a_half_life() -> None:
    span = Span("r", RUN.holder, frozenset(), 2, ("a", "b"), 1, GIB, NOW - timedelta(seconds=10))
    goes_on = lately([span], NOW, HOUR)
    assert 19.9 < goes_on["bob"] < 20
    ended = replace(span, until=NOW)
    later = lately([ended, replace(ended, gpus=0)], NOW + timedelta(hours=1), HOUR)
    assert abs(later["bob"] - goes_on["bob"] / 2) < 1e-6
    future = replace(span, since=NOW + timedelta(days=1))
    assert lately([future], NOW, HOUR) == {"bob": 0.0}

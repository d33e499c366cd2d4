"""More than 500 files with one mistake each: all refused, each at its line and key.

A file that is right is taken line by line: its value is made wrong in every way its kind knows,
its key is misspelt in every way, and it is written twice.
"""

# ruff: noqa: E501, S104 - a line of the table is a line of the file and all that is wrong for it

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub_config.load import ConfigErrors, load

ANY = ("[[]]", "{a: b}", "!!python/name:os.system x", "*alias", "null")
SIZE = (
    *ANY,
    "8",
    "8g",
    "8 GiBB",
    "-8 GiB",
    "eight GiB",
    '"8 GiB',
    "1e3 GiB",
    "0 GiB",
    "99 PiB",
    "true",
)
DURATION = (*ANY, "12", "12 hours", "-1 h", "PT12H", "0 s", "20000 d", "false", "12h30min")
NUMBER = (*ANY, "-1", "'2'", "two", "true", ".nan", ".inf", "1e9", "0x", "2 cores", "1,5")
COUNT = (*NUMBER, "1.5", "-3")
TEXT = (*ANY, "5", "true", '""', '"a\\nb"', "' a'", "[a, b]", "2.5")
CHOICE = (*TEXT, "githab", "GITHUB", "oidc2")
WORDS = ("null", "word", "{a: b}", "[1]", "[[a]]", "[true]", "5", "[null]", '[""]')
PATH = (*ANY, "relative/path", "/", "/etc", "/proc/self", "/a/../b", "~/x", "/a b", "5")
DAYS = (*ANY, "friday-", "[mon, 5]", "[]", "someday", "[mon..fri]", "-")
HOURS = (*ANY, '"20-6"', '"25:00-06:00"', '"20:60-21:00"', "night", "5", '"20:00"')
MOMENT = (*ANY, "friday", "2026-13-01", "2026-02-30", "04.12.2026", "5", "tomorrow")


@dataclass(frozen=True)
class Line:
    """A line of the file: what stands before its value, the value, and all that would be wrong."""

    text: str
    value: str = ""
    wrong: tuple[str, ...] = ()
    key: str = ""


FILE = (
    Line("hub:"),
    Line("  url:", "https://gpu.example.org", (*TEXT, "gpu.example.org", "https://u:p@h", "https://h/x"), "hub.url"),
    Line("  bind:", "0.0.0.0", (*TEXT, "localhost", "1.2.3", "1.2.3.4:80"), "hub.bind"),
    Line("  timezone:", "Europe/Berlin", (*TEXT, "Mars/Olympus", "CEST", "../etc/passwd"), "hub.timezone"),
    Line("login:"),
    Line("  provider:", "oidc", CHOICE, "login.provider"),
    Line("  title:", "Example University", TEXT, "login.title"),
    Line("  admins:", "[ada]", WORDS, "login.admins"),
    Line("  issuer:", "https://id.example.org", TEXT, "login.issuer"),
    Line("  username_claim:", "sub", TEXT, "login.username_claim"),
    Line("  client_id:", "lab", TEXT, "login.client_id"),
    Line("  client_secret:", "{env: SECRET}", ("hunter2", "5", "[a]", "{}", "{env: lower}", "{env: A, file: b}", "null"), "login.client_secret"),
    Line("  allow:"),
    Line("    users:", "[grace]", WORDS, "login.allow.users"),
    Line("    everyone:", "false", (*ANY, "maybe", "0", "'true'", "yes"), "login.allow.everyone"),
    Line("images:"),
    Line("  tensorflow:"),
    Line("    title:", "TensorFlow", TEXT, "images.tensorflow.title"),
    Line("    image:", "tensorflow/tensorflow:2.9.0-gpu-jupyter", (*TEXT, "a b", "a:", "http://a/b"), "images.tensorflow.image"),
    Line("quotas:"),
    Line("  default:"),
    Line("    cpus:", "2", (*NUMBER, "0"), "quotas.default.cpus"),
    Line("    memory:", "8 GiB", (*SIZE, "1 MiB"), "quotas.default.memory"),
    Line("    shm:", "2 GiB", SIZE, "quotas.default.shm"),
    Line("    pids:", "1024", (*COUNT, "3"), "quotas.default.pids"),
    Line("    gpus:", "1", COUNT, "quotas.default.gpus"),
    Line("    servers:", "2", (*COUNT, "0"), "quotas.default.servers"),
    Line("    session:", "12 h", DURATION, "quotas.default.session"),
    Line("    idle:", "unlimited", (*DURATION, "infinite"), "quotas.default.idle"),
    Line("    extend:", "2 h", DURATION, "quotas.default.extend"),
    Line("    disk:", "50 GiB", SIZE, "quotas.default.disk"),
    Line("    schedule:"),
    Line("      - days:", "[sat, sun]", DAYS, "quotas.default.schedule[0].days"),
    Line("        hours:", '"20:00-06:00"', HOURS, "quotas.default.schedule[0].hours"),
    Line("        since:", "2026-12-01", MOMENT, "quotas.default.schedule[0].since"),
    Line("        gpus:", "2", COUNT, "quotas.default.schedule[0].gpus"),
    Line("  groups:"),
    Line("    staff:"),
    Line("      memory:", "64 GiB", SIZE, "quotas.groups.staff.memory"),
    Line("      priority:", "5", ("-101", "1.5", "high", "null", "true"), "quotas.groups.staff.priority"),
    Line("      until:", "2026-12-04 18:00", MOMENT, "quotas.groups.staff.until"),
    Line("      total:"),
    Line("        gpus:", "8", (*COUNT, "1"), "quotas.groups.staff.total.gpus"),
    Line("        memory:", "1 TiB", (*SIZE, "32 GiB"), "quotas.groups.staff.total.memory"),
    Line("  users:"),
    Line("    grace:"),
    Line("      cpus:", "16", NUMBER, "quotas.users.grace.cpus"),
    Line("host:"),
    Line("  reserve:"),
    Line("    memory:", "8 GiB", ("8", "-8 GiB", "lots", "[1]"), "host.reserve.memory"),
    Line("  overcommit:"),
    Line("    memory:", "1.5", (*NUMBER, "0"), "host.overcommit.memory"),
    Line("gpus:"),
    Line("  devices:", "[GPU-5a1b, MIG-7c, MIG-GPU-5a1b/1/0]", (*WORDS, "[all]", '["0"]', "[GPU-]", "['GPU-5a1b,GPU-6c2d']", "[gpu-5a1b]", "[nvidia.com/gpu=all]", "[void]", "[MIG-GPU-5a1b/1]"), "gpus.devices"),
    Line("  share:", "{GPU-5a1b: 2}", ("null", "[GPU-5a1b]", "{GPU-5a1b: 0}", "{GPU-5a1b: two}"), "gpus.share"),
    Line("storage:"),
    Line("  notebooks:", "/tf/notebooks", PATH, "storage.notebooks"),
    Line("  shared:"),
    Line("    - name:", "datasets", (*TEXT, "Data Sets", "../x"), "storage.shared[0].name"),
    Line("      path:", "/srv/datasets", ("relative", "/a/../b", "5", "null", "[a]"), "storage.shared[0].path"),
    Line("      mount:", "/data", (*PATH, "/tf", "/tf/notebooks/data"), "storage.shared[0].mount"),
    Line("      writable_by:", "[staff]", (*WORDS, "[stuff]"), "storage.shared[0].writable_by"),
)  # fmt: skip
VALUES = [(at, wrong) for at, line in enumerate(FILE) for wrong in line.wrong]
KEYS = [
    at
    for at, line in enumerate(FILE)
    if line.text.strip(" -:") not in {"staff", "grace", "tensorflow"}
]


def misspelt(key: str) -> Iterator[str]:
    """Yield a key in the ways in which people write it wrongly."""
    yield from (key + key[-1], key[:-1], key.capitalize(), f"{key}_", key[1:] + key[0])
    yield key.replace("e", "\u0435").replace("i", "\u0456") + "\u200b"


STARTS = [at for at, line in enumerate(FILE) if not line.text.startswith(" ")]
GROUPS = "quotas: {groups: {staff: {}}}"  # what the last section needs of another


def text(changed: int, line: str, *, twice: bool = False) -> tuple[str, int]:
    """Return the section of a line with that line changed, or written again below itself.

    And in which line of it that is. The other sections are left out: they only cost time.
    """
    start = max(at for at in STARTS if at <= changed)
    end = min([at for at in STARTS if at > start], default=len(FILE))
    lines = [f"{each.text} {each.value}".rstrip() for each in FILE[start:end]]
    lines[changed - start : changed - start + (not twice)] = [line]
    lines.insert(0, GROUPS if lines[0] == "storage:" else "#")
    return "\n".join(lines) + "\n", changed - start + 2


def whole() -> str:
    return "\n".join(f"{each.text} {each.value}".rstrip() for each in FILE) + "\n"


def errors(tmp_path: Path, content: str) -> list[tuple[int, str]]:
    """Return where the file is wrong: line and key. Whatever else it raises fails the test."""
    path = tmp_path / "labhub.yaml"
    path.write_text(content)
    try:
        load(path)
    except ConfigErrors as found:
        assert all(each.problem and "Traceback" not in str(each) for each in found.errors)
        return [(each.line, each.key) for each in found.errors]
    return []


def test_the_file_itself_is_right(tmp_path: Path) -> None:
    assert errors(tmp_path, whole()) == []


def test_there_are_more_than_five_hundred_mistakes() -> None:
    names = [FILE[at].text.strip(" -:") for at in KEYS]
    assert len(VALUES) + sum(len(set(misspelt(name))) + 1 for name in names) > 500


@pytest.mark.parametrize("at", sorted({at for at, _ in VALUES}), ids=lambda at: FILE[at].key)
def test_a_wrong_value_is_refused_at_its_line_and_key(tmp_path: Path, at: int) -> None:
    for wrong in FILE[at].wrong:
        content, number = text(at, f"{FILE[at].text} {wrong}")
        found = errors(tmp_path, content)
        assert found, f"{FILE[at].text} {wrong} was accepted"
        # Where a quote is open, only its end is known to be wrong.
        here = [key for line, key in found if line in {number, number + 1} or wrong == '"8 GiB']
        assert any(not key or key.startswith(FILE[at].key) for key in here), (wrong, found)


@pytest.mark.parametrize("at", KEYS, ids=lambda at: FILE[at].key or FILE[at].text.strip())
def test_a_misspelt_key_is_refused_at_its_line(tmp_path: Path, at: int) -> None:
    line = FILE[at]
    name = line.text.strip(" -:")
    for wrong in set(misspelt(name)) - {name}:
        content, number = text(at, f"{line.text.replace(name, wrong)} {line.value}")
        found = errors(tmp_path, content)
        assert number in [place for place, _ in found], (wrong, found)


@pytest.mark.parametrize(
    "at", [at for at in KEYS if FILE[at].value and "-" not in FILE[at].text], ids=lambda at: FILE[at].key
)  # fmt: skip
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, at: int) -> None:
    line = FILE[at]
    content, number = text(at, f"{line.text} {line.value}", twice=True)
    assert errors(tmp_path, content) == [(number + 1, line.key)]


BROKEN = {
    "nothing": "", "a list": "- a\n", "a word": "hub\n", "a number": "5\n", "a tab": "hub:\n\tbind: x\n",
    "a bracket": "login: {admins: [ada\n", "two documents": "hub: {}\n---\nhub: {}\n",
    "a directive": "%YAML 9.9\n---\nhub: {}\n", "an anchor": "hub: &a {}\n", "a control character": "hub: \x01\n",
    "a merge": "hub: {<<: {bind: 0.0.0.0}}\n", "depth": "a: " + "[" * 60 + "]" * 60 + "\n",
    "no image": "images: {}\n", "an empty window": "quotas: {default: {schedule: [{days: mon}]}}\n",
    "a window for ever": "quotas: {default: {schedule: [{cpus: 1}]}}\n",
    "an end before the beginning":
        "quotas: {default: {schedule: [{cpus: 1, since: 2026-12-04, until: 2026-12-01}]}}\n",
    "an image twice": "images: {a: {title: A, image: x/y}, b: {title: B, image: x/y}}\n",
    "a title twice": "images: {a: {title: A, image: x/y}, b: {title: A, image: x/z}}\n",
    "a mount twice": "storage: {shared: [{name: a, path: /a, mount: /d}, {name: b, path: /b, mount: /d}]}\n",
    "a name twice": "storage: {shared: [{name: a, path: /a, mount: /d}, {name: a, path: /b, mount: /e}]}\n",
    "a GPU twice": "gpus: {devices: [GPU-a, GPU-b, GPU-a]}\n",
    "less for all than for one":
        "quotas: {default: {gpus: 4}, groups: {staff: {total: {gpus: 2}}}}\n",
}  # fmt: skip


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_wrong_as_a_whole_is_refused(tmp_path: Path, content: str) -> None:
    found = errors(tmp_path, content)
    assert found
    assert all(line >= 1 for line, _ in found)

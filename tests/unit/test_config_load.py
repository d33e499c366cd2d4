"""labhub.yaml: what it means, and one exact sentence for everything that can be wrong with it."""

# ruff: noqa: E501 - a row of the table is a file and its error, each in one line

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub_config.load import FILE_BYTES_MAX, ConfigErrors, load, read_secret
from hub_config.schema import (
    Allow,
    Config,
    Hub,
    Image,
    Limits,
    Login,
    Quotas,
    SecretRef,
    Storage,
)

GIB = 1024**3
SECRET = "hunter2-do-not-show"
GITHUB = "login:\n  provider: github\n  client_id: lab\n"

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "labhub.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def errors_of(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    """Return the errors without the folder, which is another one in every run."""
    with pytest.raises(ConfigErrors) as refused:
        load(path, environ)
    return str(refused.value).replace(f"{path.parent}/", "").splitlines()


WHOLE = """\
hub: {url: "https://GPU.example.org:8443", bind: 0.0.0.0}
login:
  provider: github
  title: The Example Lab
  admins: [ada]
  allow: {users: [grace], organisations: [example], groups: ["example:staff"]}
  client_id: {env: GITHUB_CLIENT_ID}
  client_secret: {file: secrets/github}
images:
  tensorflow: {title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}
  scipy: {title: SciPy, image: "quay.io:443/jupyter/scipy-notebook", description: No GPU.}
quotas:
  default: {cpus: 0.5, memory: 16 GiB, shm: 64 MiB, pids: 300}
storage: {notebooks: /home/jovyan/work}
"""


def test_every_key_has_its_meaning(write: Write) -> None:
    path = write(WHOLE)
    assert load(path) == Config(
        hub=Hub(url="https://gpu.example.org:8443", bind="0.0.0.0"),  # noqa: S104 - as written
        login=Login(
            provider="github",
            title="The Example Lab",
            admins=("ada",),
            allow=Allow(users=("grace",), organisations=("example",), groups=("example:staff",)),
            client_id=SecretRef(env="GITHUB_CLIENT_ID"),
            client_secret=SecretRef(file=str(path.parent / "secrets" / "github")),
        ),
        images={
            "tensorflow": Image(
                title="TensorFlow 2.9", image="tensorflow/tensorflow:2.9.0-gpu-jupyter"
            ),
            "scipy": Image(
                title="SciPy", image="quay.io:443/jupyter/scipy-notebook", description="No GPU."
            ),
        },
        quotas=Quotas(
            default=Limits.model_construct(cpus=0.5, memory=16 * GIB, shm=GIB // 16, pids=300)
        ),
        storage=Storage(notebooks="/home/jovyan/work"),
    )


def test_the_order_of_images_is_the_order_of_the_file(write: Write) -> None:
    assert list(load(write(WHOLE)).images) == ["tensorflow", "scipy"]


@pytest.mark.parametrize("text", ["hub: {}\n", "﻿hub: {}\n", "# a comment\n---\nhub: {}\n...\n"])
def test_what_is_not_said_has_its_default(write: Write, text: str) -> None:
    assert load(write(text)) == Config()


def test_a_word_like_yes_is_a_text(write: Write) -> None:
    assert load(write("login: {admins: [on, yes, 'null']}\n")).login.admins == ("on", "yes", "null")


# (what is in the file, the one error)
BAD: list[tuple[str, str]] = [
    # the file as a whole
    ("", "labhub.yaml:1:1: the file is empty; start from what `labhub config example` prints"),
    ("# only this\n", "labhub.yaml:1:1: the file is empty; start from what `labhub config example` prints"),
    ("- hub\n", "labhub.yaml:1:1: the file does not begin with keys; start from what `labhub config example` prints"),
    ("just words", "labhub.yaml:1:1: the file does not begin with keys; start from what `labhub config example` prints"),
    # no YAML
    ("hub:\n\tbind: ::1\n", "labhub.yaml:2:1: a tab; indent with spaces"),
    ("login: [\n", "labhub.yaml:1:8: a bracket is never closed; close it"),
    ("hub: {bind: 127.0.0.1\nlogin: {}\n", "labhub.yaml:2:6: a bracket is never closed, or a comma is missing; write it"),
    ("hub: 'x\n", "labhub.yaml:1:6: a quote is never closed; close it"),
    ("hub: a: b\n", "labhub.yaml:1:7: a colon where none can be; put the text in quotes, or indent"),
    ("hub: {}\nlogin\n", "labhub.yaml:2:1: a line without a colon; write KEY: VALUE"),
    ("hub:\n  bind: ::1\n url: x\n", "labhub.yaml:3:2: this line is indented unlike the others of its list; line them up"),
    ("hub: @x\n", "labhub.yaml:1:6: a text that begins with a special character; put it in quotes"),
    ("hub: {}\n---\nhub: {}\n", "labhub.yaml:2:1: a second document; keep one, and no --- below it"),
    ("hub: {}\n\x07\n", "labhub.yaml:2:1: an invisible control character; remove it"),
    ("hub: &a {}\n", "labhub.yaml:1:6: anchors and aliases are not read; write the value out"),
    ("hub: *a\n", "labhub.yaml:1:6: anchors and aliases are not read; write the value out"),
    ("hub: " + "[" * 30 + "]" * 30, "labhub.yaml:1:25: too many levels; no key lies so deep"),
    ("hub: !secret x\n", "labhub.yaml:1:6: hub: tags (!…) are not read; write the value without"),
    # keys
    ("hub: {}\nhub: {}\n", "labhub.yaml:2:1: hub: stands in line 1 already; keep one"),
    ("quota: {}\n", 'labhub.yaml:1:1: quota: unknown key; did you mean "quotas"?'),
    ("Hub: {}\n", 'labhub.yaml:1:1: Hub: unknown key; did you mean "hub"?'),
    ("login: {alow: {}}\n", 'labhub.yaml:1:9: login.alow: unknown key; did you mean "allow"?'),
    ("hub: {}\nmemory: 1 GiB\n", "labhub.yaml:2:1: memory: unknown key here; write it under quotas.default"),
    ("quotas: {default: {login: x}}\n", "labhub.yaml:1:20: quotas.default.login: unknown key here; write it at the beginning of a line"),
    ("storage: {xyzzy: 1}\n", "labhub.yaml:1:11: storage.xyzzy: unknown key; write one of notebooks, shared, or remove it"),
    ("1: {}\n", "labhub.yaml:1:1: this is no name of a key; write a word, or quote it"),
    ("[a]: {}\n", "labhub.yaml:1:1: this is no name of a key; write a word, or quote it"),
    # kinds of value
    ("hub:\n", "labhub.yaml:1:1: hub: has no value; write one, or remove the key"),
    ("storage: /tf\n", "labhub.yaml:1:10: storage: keys belong below this one; indent them under it"),
    ("images: [a]\n", "labhub.yaml:1:9: images: keys belong below this one; indent them under it"),
    ("login: {admins: ada}\n", "labhub.yaml:1:17: login.admins: this is not a list; write [one, two], with one entry too"),
    ("login: {admins: [ada, 7]}\n", "labhub.yaml:1:23: login.admins[1]: this is not a text; write one, in quotes if it looks like a number"),
    ("login: {admins: [ada, '']}\n", "labhub.yaml:1:23: login.admins[1]: is empty; write a text, or remove the key"),
    ("login: {admins: [' ada']}\n", "labhub.yaml:1:18: login.admins[0]: has spaces at its ends or a line break; write one line of text"),
    # hub
    ("hub: {url: gpu.example.org}\n", 'labhub.yaml:1:12: hub.url: "gpu.example.org" is not a web address; write one like https://gpu.example.org'),
    ("hub: {url: 'ftp://a'}\n", 'labhub.yaml:1:12: hub.url: "ftp://a" is not a web address; write one like https://gpu.example.org'),
    ("hub: {url: 'https://'}\n", 'labhub.yaml:1:12: hub.url: "https://" is not a web address; write one like https://gpu.example.org'),
    ("hub: {url: 'https://a:99999'}\n", 'labhub.yaml:1:12: hub.url: "https://a:99999" is not a web address; write one like https://gpu.example.org'),
    ("hub: {url: 'https://[::1'}\n", 'labhub.yaml:1:12: hub.url: "https://[::1" is not a web address; write one like https://gpu.example.org'),
    ("hub: {url: 'https://a/'}\n", 'labhub.yaml:1:12: hub.url: "https://a/" has more than scheme, host and port; write https://a'),
    ("hub: {url: 'https://a/lab?x#y'}\n", 'labhub.yaml:1:12: hub.url: "https://a/lab?x#y" has more than scheme, host and port; write https://a'),
    (f"hub: {{url: 'https://ada:{SECRET}@a'}}\n", "labhub.yaml:1:12: hub.url: the address holds a user name or password; write one like https://gpu.example.org"),
    ("hub: {bind: localhost}\n", 'labhub.yaml:1:13: hub.bind: "localhost" is not an IP address; write 127.0.0.1 for this machine only, or 0.0.0.0 for everybody who can reach it'),
    # login
    ("login: {provider: githb}\n", 'labhub.yaml:1:19: login.provider: "githb" is not one of the choices; write github'),
    ("login: {provider: xyzzy}\n", 'labhub.yaml:1:19: login.provider: "xyzzy" is not one of the choices; write one of local, github, gitlab, google, azuread, cilogon, globus, bitbucket, auth0, openshift, mediawiki, oidc'),
    ("login: {allow: {everyone: yes}}\n", "labhub.yaml:1:27: login.allow.everyone: this is neither true nor false; write one of them, without quotes"),
    ("login: {tenant: x}\n", "labhub.yaml:1:9: login.tenant: tenant has no effect with provider local; remove it"),
    (GITHUB, "labhub.yaml:1:1: login.client_secret: provider github needs client_secret: the secret of that registration, as {file: PATH} or {env: NAME}"),
    (f"{GITHUB}  client_secret: {SECRET}\n", "labhub.yaml:4:18: login.client_secret: a secret must not stand in this file; write {file: PATH} or {env: NAME}"),
    (f"{GITHUB}  client_secret: {{}}\n", "labhub.yaml:4:18: login.client_secret: needs exactly one of file and env; write {file: PATH} or {env: NAME}"),
    (f"{GITHUB}  client_secret: {{env: A, file: b}}\n", "labhub.yaml:4:18: login.client_secret: needs exactly one of file and env; write {file: PATH} or {env: NAME}"),
    (f"{GITHUB}  client_secret: {{env: {SECRET}}}\n", "labhub.yaml:4:24: login.client_secret.env: is not the name of an environment variable; write one in capitals, like CLIENT_SECRET"),
    (f"{GITHUB}  client_secret: {{fil: x}}\n", 'labhub.yaml:4:19: login.client_secret.fil: unknown key; did you mean "file"?'),
    # images
    ("images: {}\n", "labhub.yaml:1:9: images: offers no image; write at least one, like {title: …, image: tensorflow/tensorflow:2.9.0-gpu-jupyter}"),
    ("images: {A: {title: a, image: a}}\n", 'labhub.yaml:1:10: images.A: "A" cannot be a name here; write small letters, digits, - and _, beginning with a letter, at most 31'),
    ("images: {a: {image: a}}\n", "labhub.yaml:1:10: images.a.title: missing; write title: …"),
    ("images: {a: {title: a}}\n", "labhub.yaml:1:10: images.a.image: missing; write image: …"),
    ("images: {a: {title: a, image: 'a b'}}\n", 'labhub.yaml:1:31: images.a.image: "a b" is not an image name; write one like tensorflow/tensorflow:2.9.0-gpu-jupyter'),
    ("images: {a: {title: a, image: 'A:1'}}\n", 'labhub.yaml:1:31: images.a.image: "A:1" is not an image name; write one like tensorflow/tensorflow:2.9.0-gpu-jupyter'),
    ("images: {a: {title: a, image: '-a'}}\n", 'labhub.yaml:1:31: images.a.image: "-a" is not an image name; write one like tensorflow/tensorflow:2.9.0-gpu-jupyter'),
    ("images: {a: {title: '', image: a}}\n", "labhub.yaml:1:21: images.a.title: is empty; write a text, or remove the key"),
    (f"images: {{a: {{title: {'t' * 81}, image: a}}}}\n", "labhub.yaml:1:21: images.a.title: has 81 characters; write at most 80"),
    # quotas
    ("quotas: {default: {cpus: 0}}\n", "labhub.yaml:1:26: quotas.default.cpus: 0 is too little; write at least 0.01"),
    ("quotas: {default: {cpus: -1}}\n", "labhub.yaml:1:26: quotas.default.cpus: -1 is too little; write at least 0.01"),
    ("quotas: {default: {cpus: 1e9}}\n", "labhub.yaml:1:26: quotas.default.cpus: 1000000000.0 is more than any machine has; write at most 4096"),
    ("quotas: {default: {cpus: .nan}}\n", "labhub.yaml:1:26: quotas.default.cpus: this is not a number; write one like 2 or 0.5"),
    ("quotas: {default: {cpus: .inf}}\n", "labhub.yaml:1:26: quotas.default.cpus: this is not a number; write one like 2 or 0.5"),
    ("quotas: {default: {cpus: true}}\n", "labhub.yaml:1:26: quotas.default.cpus: this is not a number; write one like 2 or 0.5, without quotes"),
    ("quotas: {default: {cpus: '2'}}\n", "labhub.yaml:1:26: quotas.default.cpus: this is not a number; write one like 2 or 0.5, without quotes"),
    ("quotas: {default: {memory: -1 GiB}}\n", "labhub.yaml:1:28: quotas.default.memory: '-1 GiB' is not a size; write a positive number and a unit, such as 8 GiB"),
    ("quotas: {default: {memory: 8g}}\n", "labhub.yaml:1:28: quotas.default.memory: 'g' is not a unit; write 8 GiB (units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"),
    ("quotas: {default: {memory: 8}}\n", "labhub.yaml:1:28: quotas.default.memory: a size needs a unit; write 8 GiB (units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"),
    ("quotas: {default: {memory: 0 GiB}}\n", "labhub.yaml:1:28: quotas.default.memory: 0 B is too little for a server to start; write at least 64 MiB"),
    ("quotas: {default: {memory: 5000 TiB}}\n", "labhub.yaml:1:28: quotas.default.memory: 5000 TiB is more than any machine has; write at most 1024 TiB"),
    ("quotas: {default: {shm: true}}\n", "labhub.yaml:1:25: quotas.default.shm: a size is a number and a unit; write 8 GiB"),
    ("quotas: {default: {pids: 1.5}}\n", "labhub.yaml:1:26: quotas.default.pids: this is not a whole number; write one like 1024"),
    ("quotas: {default: {pids: 3}}\n", "labhub.yaml:1:26: quotas.default.pids: 3 is too little; write at least 32"),
    # storage
    ("storage: {notebooks: tf/notebooks}\n", 'labhub.yaml:1:22: storage.notebooks: "tf/notebooks" is not an absolute path of letters, digits and . _ -; write one like /tf/notebooks'),
    ("storage: {notebooks: /}\n", 'labhub.yaml:1:22: storage.notebooks: "/" is not an absolute path of letters, digits and . _ -; write one like /tf/notebooks'),
    ("storage: {notebooks: '/tf:ro'}\n", 'labhub.yaml:1:22: storage.notebooks: "/tf:ro" is not an absolute path of letters, digits and . _ -; write one like /tf/notebooks'),
    ("storage: {notebooks: /tf/../etc}\n", 'labhub.yaml:1:22: storage.notebooks: "/tf/../etc" contains . or ..; write one like /tf/notebooks'),
    ("storage: {notebooks: /opt/labserver}\n", 'labhub.yaml:1:22: storage.notebooks: "/opt/labserver" belongs to the image\'s own system; write one like /tf/notebooks'),
    ("storage: {notebooks: /usr}\n", 'labhub.yaml:1:22: storage.notebooks: "/usr" belongs to the image\'s own system; write one like /tf/notebooks'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "error"), BAD, ids=[repr(text[:40]) for text, _ in BAD])
def test_one_mistake_is_one_sentence(write: Write, text: str, error: str) -> None:
    assert errors_of(write(text)) == [error]


def test_no_sentence_shows_a_secret() -> None:
    assert not [error for _, error in BAD if SECRET in error]


MANY = """\
quota: {}
hub: {bind: here}
login:
  provider: oidc
  client_secret: {env: OIDC_SECRET}
  alow: {everyone: true}
  tenant: x
quotas:
  default: {cpus: none, memory: 8g}
  default: {}
"""


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(write: Write) -> None:
    starts = [error.split(": ")[:2] for error in errors_of(write(MANY), {})]
    assert starts == [
        ["labhub.yaml:1:1", "quota"],
        ["labhub.yaml:2:13", "hub.bind"],
        ["labhub.yaml:3:1", "login.client_id"],
        ["labhub.yaml:3:1", "login.issuer"],
        ["labhub.yaml:5:18", "login.client_secret"],
        ["labhub.yaml:6:3", "login.alow"],
        ["labhub.yaml:7:3", "login.tenant"],
        ["labhub.yaml:9:19", "quotas.default.cpus"],
        ["labhub.yaml:9:33", "quotas.default.memory"],
        ["labhub.yaml:10:3", "quotas.default"],
    ]


BOTH = """\
hub: {bind: here}
login: {provider: github, client_id: lab, admins: [7]}
images:
  one: {title: One, image: a}
  two: {title: One, image: b, extra: x}
quotas:
  default: {pids: many}
  groups:
    staff: {memory: 8 GiB, total: {memory: 4 GiB}}
storage:
  shared:
    - {name: data, path: /srv, mount: /data, writable_by: [nobody]}
host: {reserve: {cpu: 1}}
"""


def test_contradictions_are_told_beside_other_errors(write: Write) -> None:
    starts = [error.split(": ")[:2] for error in errors_of(write(BOTH), {})]
    assert starts == [
        ["labhub.yaml:1:13", "hub.bind"],
        ["labhub.yaml:2:1", "login.client_secret"],
        ["labhub.yaml:2:52", "login.admins[0]"],
        ["labhub.yaml:5:16", "images.two.title"],
        ["labhub.yaml:5:31", "images.two.extra"],
        ["labhub.yaml:7:19", "quotas.default.pids"],
        ["labhub.yaml:9:44", "quotas.groups.staff.total.memory"],
        ["labhub.yaml:12:60", "storage.shared[0].writable_by[0]"],
        ["labhub.yaml:13:18", "host.reserve.cpu"],
    ]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("quotas: {groups: {a: {memory: 8, total: {memory: 4 GiB}}}}", ["memory"]),
        ("quotas: {groups: {a: {memmory: 2 GiB, total: {memory: 4 GiB}}}}", ["memmory"]),
        ("quotas: {default: {cpus: x}, groups: {a: {total: {cpus: 1}}}}", ["cpus"]),
        ("login: {provider: githb, tenant: x}", ["provider"]),
        (
            "quotas: {groups: {staff: 5}}\nstorage: {shared: "
            "[{name: d, path: /d, mount: /d, writable_by: [staff]}]}",
            ["staff"],
        ),
        (
            "storage: {notebooks: d/x, shared: [{name: d, path: /d, mount: /tf/notebooks/d}]}",
            ["notebooks"],
        ),
    ],
)
def test_nothing_is_held_against_what_could_not_be_read(
    write: Write, text: str, keys: list[str]
) -> None:
    found = [error.split(": ")[1].split(".")[-1] for error in errors_of(write(text))]
    assert found == keys


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    advice = "write one (`labhub config example` prints it), or name another with --config"
    assert errors_of(tmp_path / "labhub.yaml") == [
        f"labhub.yaml: cannot be read (No such file or directory); {advice}"
    ]
    (tmp_path / "folder").mkdir()
    assert errors_of(tmp_path / "folder") == [f"folder: cannot be read (Is a directory); {advice}"]


def test_a_file_that_is_not_text(write: Write) -> None:
    assert errors_of(write(b"hub: {}\nlogin: \xff\xfe\n")) == [
        "labhub.yaml:2:8: not UTF-8 text; save the file as UTF-8"
    ]
    assert errors_of(write("hub: {}\n".encode("utf-16"))) == [
        "labhub.yaml:1:1: not UTF-8 text; save the file as UTF-8"
    ]


def test_a_file_that_is_far_too_long(write: Write) -> None:
    assert errors_of(write("#" * (FILE_BYTES_MAX + 1)))[0].startswith(
        "labhub.yaml: is larger than 1 MiB, so it is not labhub's; "
    )


def test_a_small_file_cannot_mean_a_big_one(write: Write) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    assert errors_of(write("a0: &a0 [x]\n" + levels)) == [
        "labhub.yaml:1:5: anchors and aliases are not read; write the value out"
    ]


class TestSecrets:
    """A secret is somewhere else, and is there."""

    REFERENCE = f"{GITHUB}  client_secret: {{file: secrets/github}}\n  allow: {{everyone: true}}\n"
    VARIABLE = f"{GITHUB}  client_secret: {{env: GITHUB}}\n"

    def test_is_read_from_a_file_beside_the_configuration(self, write: Write) -> None:
        path = write(self.REFERENCE)
        (path.parent / "secrets").mkdir()
        (path.parent / "secrets" / "github").write_text(f"{SECRET}\nnote\n")
        login = load(path, {}).login
        assert login.client_secret is not None
        assert read_secret(login.client_secret, {}) == SECRET

    def test_is_read_from_the_environment(self, write: Write) -> None:
        login = load(write(self.VARIABLE), {"GITHUB": f"{SECRET}\n"}).login
        assert login.client_secret is not None
        assert read_secret(login.client_secret, {"GITHUB": SECRET}) == SECRET

    def test_need_not_be_there_for_who_does_not_use_it(self, write: Write) -> None:
        assert load(write(self.REFERENCE)).login.provider == "github"

    def test_that_is_missing_is_named_with_its_path(self, write: Write) -> None:
        path = write(self.REFERENCE)
        place = f"labhub.yaml:4:18: login.client_secret: {path.parent}/secrets/github"
        with pytest.raises(ConfigErrors) as refused:
            load(path, {})
        assert str(refused.value) == (
            f"{path.parent}/{place} cannot be read (No such file or directory); "
            "write the secret into that file"
        )

    @pytest.mark.parametrize("content", [b"", b"\n", b"  \nx"])
    def test_that_is_empty(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "s").write_bytes(content)
        with pytest.raises(ValueError, match=r"is empty; write the secret into its first line$"):
            read_secret(SecretRef(file=str(tmp_path / "s")), {})

    def test_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "s").write_bytes(b"\xff\xfe")
        with pytest.raises(
            ValueError, match=r"is not text; write the secret into it, in one line$"
        ):
            read_secret(SecretRef(file=str(tmp_path / "s")), {})

    def test_that_is_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="is not a file"):
            read_secret(SecretRef(file=str(tmp_path)), {})

    def test_that_is_not_in_the_environment(self, write: Write) -> None:
        assert errors_of(write(self.VARIABLE), {"GITHUB": " "}) == [
            "labhub.yaml:4:18: login.client_secret: the variable GITHUB is not set; write GITHUB=… into hub.env"
        ]


# Texts that are nearly YAML: its special characters, our own keys, and whole lines of ours.
PIECES = st.sampled_from([
    *"{}[]:,-&*!|>'\"%@`#?\n\t ~", "---", "...", "<<", "0x", "1_0", ".inf", "2026-01-01", "\x00",
    "hub", "login", "images", "quotas", "default", "memory", "client_secret", "file", "allow",
    "true", "null", "8 GiB", "!!binary x", "%YAML 1.1\n", "%TAG ! x\n", "? ", "\ud7ff", "\u2028",
])  # fmt: skip
KEYS = st.sampled_from([
    "hub", "hub.url", "login", "login.allow", "login.client_secret", "login.admins", "images",
    "images.a", "images.a.image", "quotas.default", "quotas.default.memory", "storage",
])  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60) | st.binary(max_size=60))
def test_no_text_makes_it_fail_in_another_way(write: Write, content: str | bytes) -> None:
    path = write(content)
    try:
        load(path, {})
    except ConfigErrors as refused:
        assert refused.errors
        assert all(str(path) in str(error) for error in refused.errors)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=KEYS, value=VALUES)
def test_no_value_makes_it_fail_in_another_way(write: Write, path: str, value: object) -> None:
    data: object = value
    for key in reversed(path.split(".")):
        data = {key: data}
    try:
        load(write(json.dumps(data)), {})  # JSON is YAML too
    except ConfigErrors as refused:
        assert refused.errors

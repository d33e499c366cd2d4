"""labhub.yaml as types: every key, its meaning, its default, its check. Pure.

Strict: an unknown key is an error, a text is no number. REFERENCE.md is generated from the
descriptions here (`labhub config reference`).
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from hub_config.values import (
    MEMORY_LEAST_BYTES,
    SHM_LEAST_BYTES,
    Address,
    ContainerPath,
    Key,
    Line,
    Origin,
    Reference,
    Title,
    Word,
    Words,
    size,
)

TENSORFLOW = "tensorflow/tensorflow:2.9.0-gpu-jupyter"
Provider = Literal[
    "local",
    "github",
    "gitlab",
    "google",
    "azuread",
    "cilogon",
    "globus",
    "bitbucket",
    "auth0",
    "openshift",
    "mediawiki",
    "oidc",
]
GIB = 1024**3

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_WRITE_REFERENCE = "write {file: PATH} or {env: NAME}"


class _Section(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def _check_variable(name: str) -> str:
    # Not shown: whoever mistakes this key writes the secret itself here.
    if _VARIABLE.fullmatch(name) is None:
        raise ValueError(
            "is not the name of an environment variable; write one in capitals, like CLIENT_SECRET"
        )
    return name


def _absolute(path: str, info: ValidationInfo) -> str:
    """Resolve a path against the folder of labhub.yaml, which load.py gives as context."""
    folder = (info.context or {}).get("folder", "/etc/labhub")
    if not path or not path.isprintable():
        raise ValueError("is not the path of a file; write one like secrets/client_secret")
    return str(PurePosixPath(folder) / path)


class SecretRef(_Section):
    """Where a secret is kept; the secret itself never stands in labhub.yaml."""

    file: Annotated[str, AfterValidator(_absolute)] | None = Field(
        None,
        description="Path of a file with the secret in its first line. A relative path starts at "
        "the folder of labhub.yaml; `secrets/` beside it is the right place.",
    )
    env: Annotated[str, AfterValidator(_check_variable)] | None = Field(
        None,
        description="Name of an environment variable of the hub; `hub.env` beside labhub.yaml "
        "sets them.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretRef":
        if (self.file is None) == (self.env is None):
            raise ValueError(f"needs exactly one of file and env; {_WRITE_REFERENCE}")
        return self


def _require_reference(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    """Refuse a secret that was written into the file itself, without repeating it."""
    if not isinstance(value, dict | SecretRef):
        raise ValueError(f"a secret must not stand in this file; {_WRITE_REFERENCE}")  # noqa: TRY004
    return value


def _is_reference(value: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    return "reference" if isinstance(value, dict | SecretRef) else "text"


Secret = Annotated[SecretRef, BeforeValidator(_require_reference)]
TextOrSecret = Annotated[
    Annotated[SecretRef, Tag("reference")] | Annotated[Word, Tag("text")],
    Discriminator(_is_reference),
]


class Hub(_Section):
    """Where people find the lab."""

    url: Origin | None = Field(
        None,
        description="The address people open, when it is not this machine's own: scheme and host, "
        "like `https://gpu.example.org`. Without it the lab is at `http://127.0.0.1:PORT`.",
    )
    bind: Address = Field(
        "127.0.0.1",
        description="The IP address to listen on: `127.0.0.1` is this machine only (people come "
        "through SSH or through a web server with TLS), `0.0.0.0` is every network it is in.",
    )


class Allow(_Section):
    """Who may sign in besides the admins. Nobody is let in by default."""

    users: Words = Field((), description="Names of people, as the provider knows them.")
    groups: Words = Field((), description="Members of these groups of the provider.")
    organisations: Words = Field(
        (), description="Members of these GitHub organisations (`org` or `org:team`), or Bitbucket "
        "workspaces.",
    )  # fmt: skip
    everyone: bool = Field(
        default=False,
        description="Everybody whom the provider knows. With a public provider that is everybody.",
    )


class Login(_Section):
    """How people sign in."""

    provider: Provider = Field(
        "local",
        description="Who knows the people. `local` is built in: `labhub user add` makes accounts. "
        "`oidc` is any OpenID Connect provider.",
    )
    title: Title | None = Field(
        None,
        description="What the sign-in page calls the provider, like `Example University`.",
    )
    admins: Words = Field(
        (),
        description="Names of people who administer the lab, as the provider knows them. Local "
        "accounts become admins by `labhub user add NAME --admin` too.",
    )
    allow: Allow = Field(
        default_factory=Allow,
        description="Who may sign in besides the admins. With `local`, every account may.",
    )
    client_id: TextOrSecret | None = Field(
        None, description="What the provider calls this lab: a text, `{file: …}` or `{env: …}`."
    )
    client_secret: Secret | None = Field(
        None, description="The secret that goes with it, by `{file: …}` or `{env: …}` only."
    )
    issuer: Word | None = Field(
        None,
        description="`oidc`: the provider's issuer; its discovery document says the rest. Register "
        "the callback URL there, and `…/hub/login` as the place to return to after signing out.",
    )
    url: Word | None = Field(
        None,
        description="The provider's address: `auth0` and `openshift` need it; `github`, `gitlab` "
        "and `mediawiki` when it is a server of your own.",
    )
    tenant: Word | None = Field(None, description="`azuread`: the tenant's id.")
    hosted_domains: Words = Field(
        (), description="`google`: only accounts of these Google Workspace domains."
    )
    idps: Words = Field(
        (), description="`cilogon`: the entity ids of the institutions that may sign in; `globus`: "
        "the one institution's domain.",
    )  # fmt: skip
    username_claim: Word | None = Field(
        None,
        description="The claim that holds a person's name at the provider: what `allow.users` and "
        "`admins` are compared with. Choose one that people cannot change themselves.",
    )
    groups_claim: Word | None = Field(
        None, description="The claim that holds a person's groups; dots lead into it."
    )
    scopes: Words = Field((), description="Scopes to ask for beside those that are needed.")


class Image(_Section):
    """An image that people may choose."""

    title: Title = Field(description="What people read, like `TensorFlow 2.9`.")
    image: Reference = Field(description=f"The image, like `{TENSORFLOW}`. It is never modified.")
    description: Line = Field("", description="One more line for people to choose by.")


class Limits(_Section):
    """What one server may use. The kernel enforces all of it."""

    cpus: float = Field(
        2.0, ge=0.01, le=4096, allow_inf_nan=False, description="CPU cores, like `2` or `0.5`."
    )
    memory: size(MEMORY_LEAST_BYTES) = Field(  # type: ignore[valid-type]
        8 * GIB,
        description="Memory, like `8 GiB`. No swap on top. A program that needs more is killed.",
    )
    shm: size(SHM_LEAST_BYTES) = Field(  # type: ignore[valid-type]
        2 * GIB,
        description="`/dev/shm`, like `2 GiB`: what data loaders share. It counts as memory.",
    )
    pids: int = Field(1024, ge=32, le=4194304, description="Processes and threads, all together.")


class Quotas(_Section):
    """Who may use how much."""

    default: Limits = Field(default_factory=Limits, description="What every server gets.")


class Storage(_Section):
    """Where files are."""

    notebooks: ContainerPath = Field(
        "/tf/notebooks",
        description="Where a person's own volume is inside the server. It is the home directory, "
        "and all that lasts.",
    )


def _default_images() -> dict[str, Image]:
    return {"tensorflow": Image(title="TensorFlow 2.9", image=TENSORFLOW)}


def _require_image(images: dict[str, Image]) -> dict[str, Image]:
    if not images:
        raise ValueError(
            f"offers no image; write at least one, like {{title: …, image: {TENSORFLOW}}}"
        )
    return images


class Config(_Section):
    """The whole file."""

    hub: Hub = Field(default_factory=Hub, description="Where people find the lab.")
    login: Login = Field(default_factory=Login, description="How people sign in.")
    images: Annotated[dict[Key, Image], AfterValidator(_require_image)] = Field(
        default_factory=_default_images,
        description="The images people may choose, each under a name of your own. The first is "
        "chosen unless somebody chooses another.",
    )
    quotas: Quotas = Field(default_factory=Quotas, description="Who may use how much.")
    storage: Storage = Field(default_factory=Storage, description="Where files are.")

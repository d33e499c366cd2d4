"""The `login` section of labhub.yaml, and where secrets are kept. Pure."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from hub_config.schema_base import Section
from hub_config.values import Title, Word, Words

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

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_WRITE_REFERENCE = "write {file: PATH} or {env: NAME}"


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


class SecretRef(Section):
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


class Allow(Section):
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


class Login(Section):
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

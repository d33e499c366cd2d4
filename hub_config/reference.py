"""REFERENCE.md: every key of labhub.yaml, generated from the schema."""

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hub_config.schema import Config, SecretRef
from hub_config.sizes import format_bytes

COMMAND = "labhub config reference > hub_config/REFERENCE.md"
SIZES = ("memory", "shm")
HEADER = f"""\
# labhub.yaml

Every key, generated from `hub_config/schema.py` by `{COMMAND}`.
`labhub config example` prints a file to start from, and `labhub config check` names every error by line and column.
A key that is not here is an error. A size has a unit: `8 GiB` is 8 × 2³⁰ bytes, `8 GB` is 8 × 10⁹.
A change takes effect when `deploy/up` is run again; servers that run keep the limits they were started with.
"""


def reference() -> str:
    """Return the whole page."""
    sections = [_section(*each) for each in _models(Config, "")]
    secret = _section(
        "Secrets", SecretRef, "Wherever a secret belongs, one of these keys says where it is kept."
    )
    return "\n".join([HEADER, *sections, secret])


def _models(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    """Yield every mapping of the file with its path, in the file's order."""
    for name, field in model.model_fields.items():
        inner, below = _inner(field.annotation)
        if inner is not None and inner is not SecretRef:
            place = f"{path}{name}{below}"
            yield f"`{place}`", inner, field.description or ""
            yield from _models(inner, f"{place}.")


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:  # noqa: ANN401 - any type
    """Return the mapping that a key holds, and how its own keys are reached."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if get_origin(annotation) is dict:
        return _inner(get_args(annotation)[1])[0], ".NAME"
    return None, ""


def _section(title: str, model: type[BaseModel], text: str) -> str:
    rows = [
        _row(name, field)
        for name, field in model.model_fields.items()
        if _inner(field.annotation)[0] is None
    ]
    head = ["| key | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", text, "", *(head + rows if rows else []), ""])


def _row(name: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | {_kind(name, field)} | {_default(name, field)} | {meaning} |"


def _kind(name: str, field: FieldInfo) -> str:
    """Return in words what a key takes."""
    if name in SIZES:
        return "a size"
    words = []
    for each in _alternatives(field.annotation):
        if get_origin(each) is Literal:
            words.append(", ".join(f"`{choice}`" for choice in get_args(each)))
        else:
            words.append(_WORDS.get(get_origin(each) or each, "a text"))
    return " or ".join(dict.fromkeys(words))


_WORDS: dict[Any, str] = {
    bool: "`true` or `false`",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
    SecretRef: "`{file: …}` or `{env: …}`",
}


def _alternatives(annotation: Any) -> list[Any]:  # noqa: ANN401 - any type
    """Return what a key may hold, without "nothing" and without the checks."""
    if hasattr(annotation, "__metadata__"):
        return _alternatives(annotation.__origin__)
    if get_origin(annotation) in {Union, types.UnionType}:
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return [each for part in parts for each in _alternatives(part)]
    return [annotation]


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if name in SIZES:
        return f"`{format_bytes(value)}`"
    if value is None or value in {(), ""}:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, int | float) else f"`{value}`"

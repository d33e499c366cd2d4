"""Which keys labhub.yaml has, read off the schema. Pure."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from hub_config.schema import Config, SecretRef


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of the file: the path to it, its model, and its description."""

    path: str
    model: type[BaseModel]
    description: str


def alternatives(annotation: Any) -> list[Any]:  # noqa: ANN401 - any type
    """Return the types a key may hold, without "nothing" and without their checks."""
    if hasattr(annotation, "__metadata__"):
        return alternatives(annotation.__origin__)
    if get_origin(annotation) in {Union, types.UnionType}:
        parts = [part for part in get_args(annotation) if part is not types.NoneType]
        return [each for part in parts for each in alternatives(part)]
    return [annotation]


def model_below(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """Return the mapping that a key holds itself, if it does."""
    for each in alternatives(annotation):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def entries_below(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """Return the mapping that stands under each of the admin's own names, if it does."""
    for each in alternatives(annotation):
        if get_origin(each) is dict:
            return model_below(get_args(each)[1])
    return None


def items_below(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """Return the mapping that each item of a list is, if it is one."""
    for each in alternatives(annotation):
        if get_origin(each) is tuple:
            return model_below(get_args(each)[0])
    return None


def choices(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - any type
    """Return the words a key takes, when it takes only these."""
    literals = [each for each in alternatives(annotation) if get_origin(each) is Literal]
    return tuple(str(choice) for each in literals for choice in get_args(each))


def sections() -> Iterator[Section]:
    """Yield every mapping of the file, in the file's order, the whole file first."""
    yield Section("", Config, "")
    yield from _sections_of(Config, "")


def _sections_of(model: type[BaseModel], prefix: str) -> Iterator[Section]:
    for name, field in model.model_fields.items():
        kinds = {
            "": model_below(field.annotation),
            ".NAME": entries_below(field.annotation),
            "[]": items_below(field.annotation),
        }
        suffix, found = next(((key, each) for key, each in kinds.items() if each), ("", None))
        if found is None or found is SecretRef:
            continue
        path = f"{prefix}{name}{suffix}"
        yield Section(path, found, field.description or "")
        yield from _sections_of(found, f"{path}.")


def annotation_at(path: tuple[str | int, ...]) -> Any:  # noqa: ANN401 - any type
    """Return the type of the value at a path; None where the schema has nothing."""
    annotation: Any = Config
    for part in path:
        entry, model = entries_below(annotation), model_below(annotation)
        item = items_below(annotation)
        if entry is not None:
            annotation = entry
        elif item is not None and isinstance(part, int):
            annotation = item
        elif model is not None and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
        else:
            return None
    return annotation


def keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return the keys that may stand in the mapping at a path."""
    model = model_below(annotation_at(path))
    return tuple(model.model_fields) if model is not None else ()


def homes_of(key: str) -> tuple[str, ...]:
    """Return the paths of all mappings that have a key of this name."""
    return tuple(each.path for each in sections() if key in each.model.model_fields)


def all_keys() -> tuple[str, ...]:
    """Return every key that some mapping of the file has."""
    return tuple(dict.fromkeys(key for each in sections() for key in each.model.model_fields))

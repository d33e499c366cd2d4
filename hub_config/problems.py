"""What pydantic finds → one sentence each: "what is wrong; what to write instead". Pure.

A value is repeated only where it cannot be a secret.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from hub_config.keys import all_keys, annotation_at, choices, homes_of, keys_at
from hub_config.values import quoted

Path = tuple[str | int, ...]

_EXPECTED: Mapping[str, str] = {
    "string_type": "this is not a text; write one, in quotes if it looks like a number",
    "int_type": "this is not a whole number; write one like 1024",
    "int_from_float": "this is not a whole number; write one like 1024",
    "float_type": "this is not a number; write one like 2 or 0.5, without quotes",
    "finite_number": "this is not a number; write one like 2 or 0.5",
    "bool_type": "this is neither true nor false; write one of them, without quotes",
    "tuple_type": "this is not a list; write [one, two], with one entry too",
    "dict_type": "keys belong below this one; indent them under it",
    "model_type": "keys belong below this one; indent them under it",
    "model_attributes_type": "keys belong below this one; indent them under it",
}


def is_about_key(kind: str) -> bool:
    """Say whether a finding is about a key itself and not about its value."""
    return kind in {"extra_forbidden", "missing"}


def sentence(kind: str, path: Path, context: Mapping[str, Any], value: object) -> str:
    """Return what is wrong at a path, and what to write instead."""
    match kind:
        case "value_error":
            text = str(context["error"])
        case "extra_forbidden":
            text = unknown_key(path)
        case "missing":
            text = f"missing; write {path[-1]}: …"
        case _ if value is None:
            text = "has no value; write one, or remove the key"
        case "literal_error":
            text = unknown_choice(path, value)
        case "greater_than_equal":
            text = f"{value} is too little; write at least {context['ge']:g}"
        case "less_than_equal":
            text = f"{value} is more than any machine has; write at most {context['le']:.12g}"
        case _:
            text = _EXPECTED.get(kind, "this cannot stand here; see hub_config/REFERENCE.md")
    return text


def unknown_key(path: Path) -> str:
    """Return how to correct a key that does not exist."""
    key, known = str(path[-1]), keys_at(path[:-1])
    if homes := homes_of(key):
        return f"unknown key here; write it {_under(homes[0])}"
    if near := _nearest(key, known):
        return f'unknown key; did you mean "{near}"?'
    if near := _nearest(key, all_keys()):
        return f'unknown key; did you mean "{near}"? It stands {_under(homes_of(near)[0])}'
    return f"unknown key; write one of {', '.join(known)}, or remove it"


def unknown_choice(path: Path, value: object) -> str:
    """Return how to correct a word that is not one of those possible."""
    known = choices(annotation_at(path))
    shown = quoted(value) if isinstance(value, str) else "this"
    if isinstance(value, str) and (near := _nearest(value, known)):
        return f"{shown} is not one of the choices; write {near}"
    return f"{shown} is not one of the choices; write one of {', '.join(known)}"


def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return close[0] if close else None


def _under(home: str) -> str:
    return f"under {home}" if home else "at the beginning of a line"

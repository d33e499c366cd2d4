"""labhub.yaml → Config, or every error at once with its place in the file.

Each error is one sentence: ``file:line:column: key: what is wrong; what to write instead``.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from hub_config.schema import Config, Login, SecretRef

FILE_BYTES_MAX = 1 << 20
DEPTH_MAX = 20
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class ConfigError:
    """One thing that is wrong, and where."""

    line: int
    column: int
    file: str
    key: str
    problem: str

    def __str__(self) -> str:
        """Return the sentence a person reads."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.problem) if part)


class ConfigErrors(Exception):
    """All that is wrong with the file, in the order of its lines."""

    def __init__(self, errors: list[ConfigError]) -> None:
        """Hold the errors, sorted by place."""
        self.errors = sorted(set(errors))
        super().__init__("\n".join(str(error) for error in self.errors))


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Return what the file says, or raise ConfigErrors. References to secrets are followed."""
    file = str(path)
    document = _parse(_read(path), file)
    where = _Places(document, file)
    try:
        config = Config.model_validate(_plain(document))
    except ValidationError as error:
        raise ConfigErrors([*_sentences(error, where)]) from None
    problems = _login_problems(config.login, environ)
    if problems:
        raise ConfigErrors([where.error(location, problem) for location, problem in problems])
    return config


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Return the secret that a reference names, or raise ValueError with one sentence."""
    if reference.env is not None:
        secret = environ.get(reference.env, "").strip()
        if not secret:
            msg = f"the variable {reference.env} is not set; write {reference.env}=… into hub.env"
            raise ValueError(msg)
        return secret
    path = Path(reference.file or "")
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        msg = f"{path} cannot be read ({reason}); write the secret into that file"
        raise ValueError(msg) from None
    if not secret:
        msg = f"{path} is empty; write the secret into it"
        raise ValueError(msg)
    return secret


def _read(path: Path) -> str:
    """Return the text of the file."""
    try:
        data = path.read_bytes()[: FILE_BYTES_MAX + 1]
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); write it, or name another with --config"
        raise _whole_file(path, problem) from None
    if len(data) > FILE_BYTES_MAX:
        raise _whole_file(path, "is larger than 1 MiB; this is not labhub's configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = "is not UTF-8 text; save it as UTF-8"
        raise ConfigErrors([ConfigError(line, 1, str(path), "", problem)]) from None


def _whole_file(path: Path, problem: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(0, 0, str(path), "", problem)])


def _parse(text: str, file: str) -> Any:  # noqa: ANN401 - any YAML
    """Return the document with the places of its keys."""
    try:
        for event in YAML(typ="rt", pure=True).parse(text):
            if isinstance(event, AliasEvent):
                mark = event.start_mark
                problem = "aliases (*name) are not used here; write the value out"
                raise ConfigErrors([ConfigError(mark.line + 1, mark.column + 1, file, "", problem)])
        document = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as error:
        raise ConfigErrors([_marked(error, file, "this key stands here twice; keep one")]) from None
    except MarkedYAMLError as error:
        problem = (
            f"is not YAML here ({error.problem or error.context}); mind indentation and quotes"
        )
        raise ConfigErrors([_marked(error, file, problem)]) from None
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise _whole_file(Path(file), f"is not YAML ({_first_line(error)}); correct it") from None
    if not isinstance(document, dict):
        problem = "is empty or not a list of keys; start from `labhub config example`"
        raise ConfigErrors([ConfigError(1, 1, file, "", problem)])
    return document


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["unreadable"])[0][:120]


def _marked(error: MarkedYAMLError, file: str, problem: str) -> ConfigError:
    """Return the place YAML complains about."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return ConfigError(line, column, file, "", problem)


def _plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any YAML
    """Return the document without what ruamel adds to it; keys become texts."""
    if depth > DEPTH_MAX:
        return "…"
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


class _Places:
    """Finds the line and column of a key."""

    def __init__(self, document: Any, file: str) -> None:  # noqa: ANN401 - any YAML
        self._document = document
        self._file = file

    def error(self, location: Location, problem: str) -> ConfigError:
        """Return the error at a key, or at the nearest key above it that is in the file."""
        line, column = 1, 1
        node = self._document
        for part in location:
            found = self._step(node, part)
            if found is None:
                break
            line, column, node = found
        return ConfigError(line, column, self._file, ".".join(map(str, location)), problem)

    @staticmethod
    def _step(node: Any, part: str | int) -> tuple[int, int, Any] | None:  # noqa: ANN401
        """Return where a key or item stands, and what it holds."""
        try:
            if isinstance(node, dict):
                key = next(key for key in node if str(key) == str(part))
                line, column = node.lc.key(key)
            elif isinstance(node, list) and isinstance(part, int):
                key = part
                line, column = node.lc.item(key)
            else:
                return None
            return line + 1, column + 1, node[key]
        except (StopIteration, KeyError, IndexError, AttributeError, TypeError):
            return None


def _sentences(error: ValidationError, where: _Places) -> Iterator[ConfigError]:
    """Yield one sentence for each thing pydantic found."""
    for found in error.errors(include_url=False, include_input=True):
        location = tuple(part for part in found["loc"] if part != "[key]")
        problem = _problem(found, location)
        head, _, rest = problem.partition(": ")
        if found["type"] == "value_error" and head.isidentifier() and rest:
            location, problem = (*location, head), rest
        yield where.error(location, problem)


def _problem(found: Any, location: Location) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return what is wrong, and what to write instead."""
    kind, context = found["type"], found.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unknown_key(location)
    if kind == "missing":
        return f"is missing; write {location[-1]}: …"
    if kind == "literal_error":
        return _near(str(found["input"]), _choices(location), "is not one of the choices")
    limits = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}
    if kind in limits:
        name, words = limits[kind]
        return f"{found['input']} is out of range; write {words} {context[name]:g}"
    return _EXPECTED.get(kind, f"{found['msg'].lower()}; see the reference")


_EXPECTED = {
    "string_type": "expected a text; write it in quotes",
    "string_too_short": "is empty; write a text",
    "string_pattern_mismatch": "is not an absolute path below a folder; write /tf/notebooks",
    "int_type": "expected a whole number; write one without quotes",
    "int_from_float": "expected a whole number; leave out the fraction",
    "float_type": "expected a number; write one without quotes",
    "finite_number": "expected a number; write one such as 2",
    "bool_type": "expected true or false; write one of them without quotes",
    "model_type": "expected keys below it; indent them under this line",
    "dict_type": "expected keys below it; indent them under this line",
    "model_attributes_type": "expected keys below it; indent them under this line",
}


def _unknown_key(location: Location) -> str:
    """Return the refusal of a key, with the nearest one that exists."""
    model = _model_at(location[:-1])
    known = tuple(model.model_fields) if model else ()
    return _near(str(location[-1]), known, "there is no such key")


def _near(word: str, known: tuple[str, ...], problem: str) -> str:
    """Return a problem with the advice for a near miss, or with all there is."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"{problem}; did you mean {close[0]}?"
    return f"{problem}; write one of: {', '.join(known)}"


def _choices(location: Location) -> tuple[str, ...]:
    """Return what a key with a closed choice takes."""
    model = _model_at(location[:-1])
    field = model.model_fields[str(location[-1])] if model else None
    return tuple(map(str, get_args(field.annotation))) if field else ()


def _model_at(location: Location) -> type[BaseModel] | None:
    """Return the part of the schema that describes this place."""
    model: Any = Config
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
        else:  # the mapping of images: the part is a name, what follows is an Image
            model = get_args(model)[1] if len(get_args(model)) == 2 else None  # noqa: PLR2004
        optional = [each for each in get_args(model) if each is not type(None)]
        if type(None) in get_args(model) and len(optional) == 1:
            model = optional[0]
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _login_problems(login: Login, environ: Mapping[str, str] | None) -> list[tuple[Location, str]]:
    """Return what the chosen provider lacks, and references that lead nowhere."""
    from auth.requirements import problems  # noqa: PLC0415 - it imports the schema beside us

    found: list[tuple[Location, str]] = [
        (tuple(key.split(".")), sentence) for key, sentence in problems(login)
    ]
    if environ is not None and login.client_secret is not None:
        try:
            read_secret(login.client_secret, environ)
        except ValueError as error:
            found.append((("login", "client_secret"), str(error)))
    return found

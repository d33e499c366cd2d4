"""labhub.yaml → Config, or every error at once with its place in the file.

Each error is one sentence: ``file:line:column: key: what is wrong; what to write instead``.
"""

import copy
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from auth.requirements import problems as login_problems
from hub_config.consistency import contradictions, is_doubtful
from hub_config.document import Document, NotReadableError, Problem, parse
from hub_config.problems import is_about_key, sentence
from hub_config.schema import Config, Login, SecretRef

FILE_BYTES_MAX = 1024 * 1024
SECRET_BYTES_MAX = 64 * 1024
KEY_LENGTH_MAX = 60
# A key that is taken away may leave another one wrong: so often that is tried.
PRUNINGS = 4
SECRETS = ("client_id", "client_secret")
_NO_FILE = "write one (`labhub config example` prints it), or name another with --config"


@dataclass(frozen=True, slots=True, order=True)
class ConfigError:
    """One thing that is wrong, and where; line 0 is the file as a whole."""

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
    """Return what the file says, or raise ConfigErrors and nothing else.

    With an environment, the secrets that the file refers to must be there too.
    """
    return load_document(path, environ)[0]


def load_document(path: Path, environ: Mapping[str, str] | None = None) -> tuple[Config, Document]:
    """Return what the file says, and where each key of it stands; raise ConfigErrors like load."""
    text = _read(path)
    try:
        document = parse(text)
    except NotReadableError as error:
        raise _errors(path, [error.problem]) from None
    if not isinstance(document.data, dict):
        raise _errors(path, [_not_a_mapping(document)])
    config, problems = _check(document, path.parent, environ)
    if config is None or problems:
        raise _errors(path, problems)
    return config, document


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Return the secret that a reference names, or raise ValueError with one sentence."""
    if reference.env is not None:
        secret = environ.get(reference.env, "").strip()
        if not secret:
            raise ValueError(
                f"the variable {reference.env} is not set; write {reference.env}=… into hub.env"
            )
        return secret
    path = Path(reference.file or "")
    lines = _read_secret_file(path).splitlines()
    if not lines or not lines[0].strip():
        raise ValueError(f"{path} is empty; write the secret into its first line")
    return lines[0].strip()


def _read_secret_file(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a file; write the secret into one and name that")
        with path.open("rb") as file:
            return file.read(SECRET_BYTES_MAX).decode("utf-8")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); write the secret into that file"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text; write the secret into it, in one line") from None


def _read(path: Path) -> str:
    """Return the text of the file."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise _whole_file(path, f"cannot be read ({reason}); {_NO_FILE}") from None
    if len(data) > FILE_BYTES_MAX:
        raise _whole_file(path, f"is larger than 1 MiB, so it is not labhub's; {_NO_FILE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problem = "not UTF-8 text; save the file as UTF-8"
        raise ConfigErrors([ConfigError(line, column, str(path), "", problem)]) from None


def _whole_file(path: Path, problem: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(0, 0, str(path), "", problem)])


def _errors(path: Path, problems: list[Problem]) -> ConfigErrors:
    return ConfigErrors(
        [
            ConfigError(
                each.place.line, each.place.column, str(path), _dotted(each.path), each.text
            )
            for each in problems
        ]
    )


def _dotted(path: tuple[str | int, ...]) -> str:
    """Return keys as people write them: login.admins[0]. Odd keys are shortened."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in path)
    return text.removeprefix(".")


def _shown(key: str) -> str:
    clean = "".join(character if character.isprintable() else "�" for character in key)
    return clean if len(clean) <= KEY_LENGTH_MAX else clean[:KEY_LENGTH_MAX] + "…"


def _not_a_mapping(document: Document) -> Problem:
    what = "the file is empty" if document.data is None else "the file does not begin with keys"
    place = document.value_at(())
    return Problem(place, (), f"{what}; start from what `labhub config example` prints")


def _check(
    document: Document, folder: Path, environ: Mapping[str, str] | None
) -> tuple[Config | None, list[Problem]]:
    """Return the configuration and all that is wrong with it."""
    problems, config = list(document.problems), None
    try:
        config = Config.model_validate(document.data, context={"folder": str(folder.absolute())})
    except ValidationError as error:
        findings = _findings(error, document)
        problems += [each for each in findings if each.path not in document.unread]
    empty = [each for each in _empty(document.data, ()) if each not in document.unread]
    said = {each.path for each in problems}
    problems += [
        Problem(document.key_at(path), path, sentence("", path, {}, None))
        for path in empty
        if path not in said
    ]
    rest = config or _in_spite(document, folder, problems)
    if rest is not None:
        more = [*contradictions(rest, document), *_login_problems(rest.login, document, environ)]
        problems += [
            each
            for each in more
            if not _is_said(each.path, problems) and not is_doubtful(each.path, problems)
        ]
    return config, problems


def _empty(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - any data
    """Yield the keys that stand without a value, which could be taken for a default."""
    if value is None:
        yield path
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else parts:
        yield from _empty(part, (*path, key))


def _is_said(path: tuple[str | int, ...], problems: list[Problem]) -> bool:
    """Say whether something is wrong with this key, or below it, anyway."""
    return any(each.path[: len(path)] == path for each in problems)


def _findings(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Yield one problem for each thing that pydantic found."""
    for found in error.errors(include_url=False):
        path, is_key = _path_in(found["loc"], document.data)
        if found["type"] == "missing":
            path = (*path, *found["loc"][-1:]) if path[-1:] != found["loc"][-1:] else path
        text = sentence(found["type"], path, found.get("ctx", {}), found["input"])
        at_key = is_key or is_about_key(found["type"])
        place = document.key_at(path) if at_key else document.value_at(path)
        yield Problem(place, path, text)


def _path_in(
    location: tuple[str | int, ...],
    data: Any,  # noqa: ANN401 - any document
) -> tuple[tuple[str | int, ...], bool]:
    """Return the part of pydantic's location that is in the file; whether it means a key."""
    path: tuple[str | int, ...] = ()
    for part in location:
        is_item = isinstance(data, list) and isinstance(part, int)
        if is_item or (isinstance(data, dict) and part in data):
            path, data = (*path, part), data[part]
    return path, location[-1:] == ("[key]",)


def _in_spite(document: Document, folder: Path, problems: list[Problem]) -> Config | None:
    """Return what the file says without its wrong keys, so that all is said now and not later."""
    data = copy.deepcopy(document.data)
    wrong = {each.path for each in problems}
    for _ in range(PRUNINGS):
        for path in sorted(wrong, key=len):
            _prune(data, path)
        try:
            return Config.model_validate(data, context={"folder": str(folder.absolute())})
        except ValidationError as error:
            wrong = {_path_in(found["loc"], data)[0] for found in error.errors(include_url=False)}
    return None


def _prune(data: dict[Any, Any], path: tuple[str | int, ...]) -> None:
    """Take a key away; a list goes as a whole, so that the places of its items stay right."""
    first, *rest = path or (None,)
    if rest and isinstance(data.get(first), dict):
        _prune(data[first], tuple(rest))
    else:
        data.pop(first, None)


def _login_problems(
    login: Login, document: Document, environ: Mapping[str, str] | None
) -> Iterator[Problem]:
    """Yield what the provider lacks, what has no effect with it, and secrets that are not there."""
    yield from _secret_findings(login, document, environ)
    for key, text in login_problems(login):
        path = tuple(key.split("."))
        yield Problem(document.key_at(path), path, text)


def _secret_findings(
    login: Login, document: Document, environ: Mapping[str, str] | None
) -> Iterator[Problem]:
    """Yield references to secrets that lead nowhere."""
    for key in SECRETS:
        reference = getattr(login, key)
        if environ is None or not isinstance(reference, SecretRef):
            continue
        try:
            read_secret(reference, environ)
        except ValueError as error:
            path = ("login", key)
            yield Problem(document.value_at(path), path, str(error))

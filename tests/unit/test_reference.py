"""The generated reference and the example follow the schema."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

import hub_config
from hub_config.document import parse
from hub_config.json_schema import COMMAND as COMMAND_SCHEMA
from hub_config.json_schema import json_schema
from hub_config.keys import sections
from hub_config.load import load
from hub_config.reference import COMMAND, reference
from hub_config.schema import Config

FOLDER = Path(hub_config.__file__).parent


def test_the_reference_is_up_to_date() -> None:
    written = (FOLDER / "REFERENCE.md").read_text("utf-8")
    assert written == reference(), f"REFERENCE.md is stale: run {COMMAND}"


def test_the_reference_has_a_line_for_every_key() -> None:
    page = reference()
    for section in sections():
        for name, field in section.model.model_fields.items():
            assert (
                f"| `{name}` |" in page
                or f"## `{name}" in page
                or f".{name}`" in page
                or f".{name}[]`" in page
            ), name
            assert field.description, f"{section.path}.{name} has no description"


def test_the_example_says_what_holds_without_it_but_servers_end() -> None:
    default = {"session": "12 h", "idle": "1 h", "extend": "2 h"}
    expected = Config.model_validate({"quotas": {"default": default}})
    assert load(FOLDER / "labhub.example.yaml") == expected


def test_the_example_mentions_every_section() -> None:
    text = (FOLDER / "labhub.example.yaml").read_text("utf-8")
    assert all(re.search(rf"^(# )?{name}:", text, re.MULTILINE) for name in Config.model_fields)


def test_what_the_example_only_mentions_is_right_too(tmp_path: Path) -> None:
    """Every line that people may uncomment stands, uncommented, in a file without errors."""
    text = (FOLDER / "labhub.example.yaml").read_text("utf-8")
    shown = re.sub(
        r"^( *)# ( *(-|[a-z]+:) ?.*)$", r"\1\2", text.split("images:")[1], flags=re.MULTILINE
    )
    path = tmp_path / "labhub.yaml"
    path.write_text(f"images:{shown}")
    found = load(path).quotas
    assert (len(found.groups), len(found.users), len(found.default.schedule)) == (2, 1, 2)


# for editors

RIGHT = """
quotas:
  default:
    memory: 1.5 gib
    session: unlimited
    schedule: [{days: fri-sun, hours: "20:00-6:00", cpus: 1}]
  groups: {staff: {total: {memory: 8 TB}, until: 2026-12-04}}
  users: {ada: {idle: 30 min, until: "2026-12-04 18:00"}}
login: {provider: oidc, client_id: {env: ID}}
"""
WRONG = ["memmory: {}", "quotas: {default: {memory: 8}}", "quotas: {default: {memory: 8 G}}",
         "quotas: {default: {idle: 1 hour}}", "quotas: {users: {ada: {cpus: -1}}}",
         "storage: {shared: [{name: x}]}", "login: {provider: githab}",
         "quotas: {default: {schedule: [{days: [friday-], cpus: 1}]}}"]  # fmt: skip


def test_the_json_schema_is_up_to_date() -> None:
    written = (FOLDER / "labhub.schema.json").read_text("utf-8")
    assert written == json_schema(), f"labhub.schema.json is stale: run {COMMAND_SCHEMA}"


def as_editors_read(text: str) -> object:
    return parse(text).data


def test_an_editor_finds_nothing_wrong_with_what_is_right() -> None:
    check = jsonschema.Draft202012Validator(json.loads(json_schema()))
    example = (FOLDER / "labhub.example.yaml").read_text("utf-8")
    for text in (example, RIGHT):
        assert list(check.iter_errors(as_editors_read(text))) == []


@pytest.mark.parametrize("text", WRONG)
def test_an_editor_underlines_what_is_wrong(text: str) -> None:
    check = jsonschema.Draft202012Validator(json.loads(json_schema()))
    assert not check.is_valid(as_editors_read(text))

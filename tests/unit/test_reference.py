"""The generated reference and the example follow the schema."""

import re
from pathlib import Path

import hub_config
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

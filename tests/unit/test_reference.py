"""The generated reference and the example follow the schema."""

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
            assert f"| `{name}` |" in page or f"## `{name}" in page or f".{name}`" in page, name
            assert field.description, f"{section.path}.{name} has no description"


def test_the_example_says_what_holds_without_it() -> None:
    assert load(FOLDER / "labhub.example.yaml") == Config()


def test_the_example_mentions_every_section() -> None:
    text = (FOLDER / "labhub.example.yaml").read_text("utf-8")
    assert all(f"\n{name}:" in text for name in Config.model_fields)

"""labhub.schema.json: what editors need to complete and check labhub.yaml, from the schema."""

import json
from typing import Any

from hub_config.schema import Config

COMMAND = "labhub config schema > hub_config/labhub.schema.json"
TITLE = "labhub.yaml"


def json_schema() -> str:
    """Return the JSON Schema (2020-12) of the file as text."""
    found: dict[str, Any] = Config.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": TITLE}
    return json.dumps(_plain(head), indent=2, ensure_ascii=False) + "\n"


def _plain(part: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Return a part without what says nothing: titles made from names, and `null` for "not set".

    A key that is not set is left out of the file; an empty value is an error there.
    """
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    names = key in {"properties", "$defs"}
    kept = {
        name: _plain(value, name)
        for name, value in part.items()
        if names or not ((name == "title" and value != TITLE) or (name, value) == ("default", None))
    }
    either = kept.get("anyOf")
    if not names and isinstance(either, list) and {"type": "null"} in either:
        others = [each for each in either if each != {"type": "null"}]
        del kept["anyOf"]
        return {**others[0], **kept} if len(others) == 1 else {**kept, "anyOf": others}
    return kept

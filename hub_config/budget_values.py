"""The kind of value that a budget is in labhub.yaml: hours of GPU time. Pure; as values.py says."""

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from hub_config.values import UNLIMITED, UNLIMITED_WORD

BUDGET_MOST_HOURS = 1_000_000


def _check_budget(value: Any) -> float:  # noqa: ANN401 - whatever stands in the file
    if value == UNLIMITED_WORD:
        return float(UNLIMITED)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= BUDGET_MOST_HOURS:
        raise ValueError(
            f"is not a number of hours above 0; write one, like 40, or {UNLIMITED_WORD} (gpus: 0 "
            "is for no GPU at all)"
        )
    return float(value)


def _show_budget(hours: float) -> float | str:
    return UNLIMITED_WORD if hours == UNLIMITED else hours


Budget = Annotated[
    float,
    BeforeValidator(_check_budget),
    PlainSerializer(_show_budget, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": BUDGET_MOST_HOURS},
                {"const": UNLIMITED_WORD},
            ]
        }
    ),
]

"""What a user may choose when starting a server, and how the choice is checked. Pure.

Options arrive through five doors (form, query, POST, PUT, PATCH) and may be any JSON. Only one is
known: `image`, a key of `images:` in labhub.yaml, never an image name.
"""

import html
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spawner import messages
from spawner.quota import Quota

if TYPE_CHECKING:
    from hub_config.schema import Image

# What the hub's own forms send along with the options.
FORM_EXTRAS = frozenset({"_xsrf"})


class OptionRefusedError(ValueError):
    """A choice that is not on offer; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class ImageCard:
    """One image as the spawn page shows it."""

    key: str
    title: str
    image: str
    description: str
    built_locally: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What the spawn page offers: images to choose from, and the limits that will hold."""

    images: tuple[ImageCard, ...]
    limits: tuple[tuple[str, str], ...]


def offer(images: "Mapping[str, Image]", quota: Quota, local: Collection[str]) -> Offer:
    """Return what the spawn page shows; `local` holds the image names that were built here."""
    cards = tuple(
        ImageCard(key, card.title, card.image, card.description, card.image in local)
        for key, card in images.items()
    )
    return Offer(cards, messages.limits(quota))


def choose_image(images: Collection[str], options: object) -> str:
    """Return the key of the image to start; raise OptionRefusedError for anything not on offer."""
    if not isinstance(options, dict):
        raise OptionRefusedError(messages.OPTIONS_NOT_AN_OBJECT)
    unknown = sorted(str(key) for key in options if key != "image")
    if unknown:
        raise OptionRefusedError(messages.unknown_option(unknown[0]))
    if "image" not in options:
        return next(iter(images))
    choice = options["image"]
    if not isinstance(choice, str):
        raise OptionRefusedError(messages.IMAGE_NOT_A_WORD)
    if choice not in images:
        raise OptionRefusedError(messages.unknown_image(choice, images))
    return choice


def from_form(fields: Mapping[str, list[str]]) -> dict[str, object]:
    """Return the options of a form or query: single values as they are, the rest to be refused."""
    return {
        key: values[0] if len(values) == 1 else values
        for key, values in fields.items()
        if key not in FORM_EXTRAS
    }


def form(offered: Offer) -> str:
    """Return the bare HTML of the choice, for pages that do not draw `offer` themselves."""
    rows = [_row(card, checked=index == 0) for index, card in enumerate(offered.images)]
    return "<fieldset><legend>Image</legend>" + "".join(rows) + "</fieldset>"


def _row(card: ImageCard, *, checked: bool) -> str:
    """Return one radio button with its label."""
    mark = " checked" if checked else ""
    value, title = html.escape(card.key), html.escape(card.title)
    return f'<label><input type="radio" name="image" value="{value}"{mark}> {title}</label>'

"""A user chooses an image by its key, and nothing else, through whichever door."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from spawner.options import (
    ImageCard,
    Offer,
    OptionRefusedError,
    choose_image,
    form,
    from_form,
    offer,
)
from spawner.quota import Quota


@dataclass(frozen=True)
class Image:
    """An entry of `images:` in labhub.yaml."""

    title: str
    image: str
    description: str = ""


IMAGES = {
    "tensorflow": Image("TensorFlow 2.9", "tensorflow/tensorflow:2.9.0-gpu-jupyter", "Keras"),
    "plain": Image("Plain <Python>", "labhub/plain:local"),
}


@pytest.mark.parametrize(
    ("options", "key"),
    [({}, "tensorflow"), ({"image": "tensorflow"}, "tensorflow"), ({"image": "plain"}, "plain")],
)
def test_a_choice_on_offer(options: object, key: str) -> None:
    assert choose_image(IMAGES, options) == key


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (None, "The options for a server must be a JSON object."),
        ([], "The options for a server must be a JSON object."),
        ("tensorflow", "The options for a server must be a JSON object."),
        ({"memory": "1 TiB"}, "There is no option memory; the only one is image."),
        ({"image": "plain", "a\nb": 1}, "There is no option a b; the only one is image."),
        ({1: 2}, "There is no option 1; the only one is image."),
        ({"image": "pytorch"}, "There is no image pytorch; choose one of: tensorflow, plain."),
        (
            {"image": "tensorflow/tensorflow:2.9.0-gpu-jupyter"},
            "There is no image tensorflow/tensorflow:2.9.0-gpu-jupyter; "
            "choose one of: tensorflow, plain.",
        ),
        (
            {"image": "x" * 100},
            f"There is no image {'x' * 59}…; choose one of: tensorflow, plain.",
        ),
        *(
            (
                {"image": wrong},
                "The option image must be one word: the name of an image on the start page.",
            )
            for wrong in (["plain"], None, True, 1, 1.5, {"plain": 1}, [[["plain"]]])
        ),
    ],
)
def test_a_choice_not_on_offer(options: object, sentence: str) -> None:
    with pytest.raises(OptionRefusedError) as refusal:
        choose_image(IMAGES, options)
    assert str(refusal.value) == sentence


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(json | st.dictionaries(st.sampled_from(["image", "cpus"]), json))
def test_anything_is_a_key_or_a_refusal(options: Any) -> None:
    try:
        answer = choose_image(IMAGES, options)
    except OptionRefusedError as refusal:
        answer = str(refusal)
        event("refused")
    assert answer in IMAGES or (answer.isprintable() and len(answer) < 300)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"image": ["plain"]}, {"image": "plain"}),
        ({"image": ["plain"], "_xsrf": ["t"]}, {"image": "plain"}),
        ({"image": ["plain", "tensorflow"]}, {"image": ["plain", "tensorflow"]}),
        ({"image": []}, {"image": []}),
        ({"gpus": ["8"]}, {"gpus": "8"}),
    ],
)
def test_form_fields(fields: dict[str, list[str]], options: dict[str, object]) -> None:
    assert from_form(fields) == options


OFFER = Offer(
    images=(
        ImageCard(
            "tensorflow",
            "TensorFlow 2.9",
            "tensorflow/tensorflow:2.9.0-gpu-jupyter",
            "Keras",
            False,
        ),
        ImageCard("plain", "Plain <Python>", "labhub/plain:local", "", True),
    ),
    limits=(
        ("CPU", "2 cores"),
        ("Memory", "8 GiB"),
        ("Shared memory", "1 GiB"),
        ("Processes", "512"),
    ),
)


def test_offer() -> None:
    quota = Quota(cpus=2.0, memory_bytes=8 << 30, shm_bytes=1 << 30, pids=512)
    assert offer(IMAGES, quota, {"labhub/plain:local"}) == OFFER


def test_the_bare_form_is_labelled_and_escaped() -> None:
    assert form(OFFER) == (
        "<fieldset><legend>Image</legend>"
        '<label><input type="radio" name="image" value="tensorflow" checked> '
        "TensorFlow 2.9</label>"
        '<label><input type="radio" name="image" value="plain"> Plain &lt;Python&gt;</label>'
        "</fieldset>"
    )

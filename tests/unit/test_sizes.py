"""Sizes and durations: exact or refused, and what is shown is what is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_config.sizes import (
    format_bytes,
    format_seconds,
    format_share,
    parse_bytes,
    parse_seconds,
)

GIB = 1024**3
UNITS = "(units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"
TIMES = "(units: s, min, h, d)"


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8 GiB", 8 * GIB),
        ("8GiB", 8 * GIB),
        ("8 gib", 8 * GIB),
        (" 8  GiB ", 8 * GIB),
        ("1.5 GiB", 1536 * 1024**2),
        ("0.3 KiB", 307),
        ("8 GB", 8 * 10**9),
        ("512 MiB", GIB // 2),
        ("64 KiB", 65536),
        ("5 kB", 5000),
        ("2 TiB", 2048 * GIB),
        ("0 GiB", 0),
        ("17 B", 17),
    ],
)
def test_a_clear_size(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (8, f"a size needs a unit; write 8 GiB {UNITS}"),
        ("8", f"a size needs a unit; write 8 GiB {UNITS}"),
        ("8g", f"'g' is not a unit; write 8 GiB {UNITS}"),
        ("8G", f"'G' is not a unit; write 8 GiB {UNITS}"),
        ("512m", f"'m' is not a unit; write 512 MiB {UNITS}"),
        ("8 Gb", f"'Gb' is not a unit; write 8 GiB {UNITS}"),
        ("8 parsec", f"'parsec' is not a unit; write 8 GiB {UNITS}"),
        ("0.5 B", "0.5 is not a whole number of bytes; round it"),
        ("", "'' is not a size; write a positive number and a unit, such as 8 GiB"),
        ("-1 GiB", "'-1 GiB' is not a size; write a positive number and a unit, such as 8 GiB"),
        ("1,5 GiB", "'1,5 GiB' is not a size; write a positive number and a unit, such as 8 GiB"),
        ("٣ GiB", "'٣ GiB' is not a size; write a positive number and a unit, such as 8 GiB"),
        (True, "a size is a number and a unit; write 8 GiB"),
        (None, "a size is a number and a unit; write 8 GiB"),
        (["8 GiB"], "a size is a number and a unit; write 8 GiB"),
    ],
)
def test_an_unclear_size_is_refused_with_the_fix(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_bytes(value)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (64 * 1024**2, "64 MiB"),
        (8 * GIB, "8 GiB"),
        (3 * GIB // 2, "1.5 GiB"),
        (8 * 10**9, "7.45 GiB"),
        (GIB - 1, "1023.99 MiB"),
        (2048 * GIB, "2 TiB"),
    ],
)
def test_a_size_as_people_read_it(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text


@given(count=st.integers(1, 1023), unit=st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB"]))
def test_a_whole_size_is_shown_as_it_was_written(count: int, unit: str) -> None:
    assert format_bytes(parse_bytes(f"{count} {unit}")) == f"{count} {unit}"


@given(st.integers(0, 2**63))
def test_a_shown_size_is_near_the_real_one_and_never_above(size_bytes: int) -> None:
    shown = format_bytes(size_bytes)
    number, unit = shown.split()
    assert 0 <= size_bytes - float(number) * parse_bytes(f"1 {unit}") <= size_bytes * 0.01 + 1


@given(st.text() | st.integers() | st.floats() | st.none() | st.binary())
def test_nothing_but_a_sentence_comes_of_any_value(value: object) -> None:
    for parse in (parse_bytes, parse_seconds):
        try:
            assert parse(value) >= 0
        except ValueError as error:
            assert 0 < len(str(error)) < 200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45 s", 45), ("30 min", 1800), ("1.5 h", 5400), ("12h", 43200), ("2 d", 172800)],
)
def test_a_clear_duration(text: str, seconds: int) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (30, f"a duration needs a unit; write 30 min {TIMES}"),
        ("30 m", f"'m' is not a unit; write 30 min {TIMES}"),
        ("soon", "'soon' is not a duration; write a positive number and a unit, such as 30 min"),
        (False, "a duration is a number and a unit; write 30 min"),
    ],
)
def test_an_unclear_duration_is_refused_with_the_fix(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_seconds(value)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (45, "45 s"), (90, "90 s"), (1800, "30 min"), (7200, "2 h"), (86400, "1 d")],
)
def test_a_duration_as_people_read_it(seconds: int, text: str) -> None:
    assert format_seconds(seconds) == text
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (8 << 30, 8 << 30, "8.0 of 8 GiB"),
        (0, 8 << 30, "0.0 of 8 GiB"),
        (5 << 29, 8 << 30, "2.5 of 8 GiB"),
        (300 << 20, 512 << 20, "300.0 of 512 MiB"),
        (1 << 30, 3 << 29, "1.0 of 1.5 GiB"),
        (9 << 30, 8 << 30, "9.0 of 8 GiB"),
        (1, 100, "1.0 of 100 B"),
    ],
)
def test_a_share_has_the_unit_of_the_whole_once(part: int, whole: int, text: str) -> None:
    assert format_share(part, whole) == text

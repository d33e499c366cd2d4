"""The uid gets a name; the image's own users keep theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.passwd import MINIMAL_GROUP, MINIMAL_PASSWD, group_text, passwd_text

ADA = "ada:x:200001:200001:ada:/tf/notebooks:/bin/bash"
ROOT = "root:x:0:0:root:/root:/bin/bash"


def ada(text: str | None) -> str:
    return passwd_text(text, name="ada", uid=200001, home="/tf/notebooks", shell="/bin/bash")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(None, f"{MINIMAL_PASSWD}{ADA}\n", id="no file"),
        pytest.param("", f"{MINIMAL_PASSWD}{ADA}\n", id="empty file"),
        pytest.param(f"{ROOT}\n", f"{ROOT}\n{ADA}\n", id="appended"),
        pytest.param(ROOT, f"{ROOT}\n{ADA}\n", id="no newline at the end"),
        pytest.param(f"{ROOT}\n\n", f"{ROOT}\n{ADA}\n", id="blank line"),
        pytest.param(f"{ROOT}\nada:x:7:7::/:/bin/sh\n", f"{ROOT}\n{ADA}\n", id="same name"),
        pytest.param(f"{ROOT}\nbob:x:200001:7::/:/x\n", f"{ROOT}\n{ADA}\n", id="same uid"),
        pytest.param(
            f"ada2:x:5:5::/:/x\n{ROOT}\n", f"ada2:x:5:5::/:/x\n{ROOT}\n{ADA}\n", id="near"
        ),
        pytest.param("broken\n", f"broken\n{ADA}\n", id="a line that is none"),
    ],
)
def test_passwd(image: str | None, expected: str) -> None:
    assert ada(image) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (None, f"{MINIMAL_GROUP}ada:x:200001:\n"),
        ("root:x:0:\n", "root:x:0:\nada:x:200001:\n"),
        ("ada:x:9:bob\nx:x:200001:\nstaff:x:50:ada\n", "staff:x:50:ada\nada:x:200001:\n"),
    ],
)
def test_group(image: str | None, expected: str) -> None:
    assert group_text(image, name="ada", gid=200001) == expected


@given(st.text())
def test_exactly_one_line_is_the_users(image: str) -> None:
    lines = [line.split(":") for line in ada(image).split("\n")]
    assert [fields for fields in lines if fields[0] == "ada"] == [ADA.split(":")]
    assert [fields for fields in lines if fields[2:3] == ["200001"]] == [ADA.split(":")]
    assert ada(ada(image)) == ada(image)

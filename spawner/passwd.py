"""The passwd and group files a container gets: the image's own, plus its user. Pure.

A uid without a name breaks more than prompts: ssh, git, Python's getpass and many C programs
refuse to run for a user who does not exist.
"""

MINIMAL_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""  # noqa: S105 - the file of that name
MINIMAL_GROUP = """\
root:x:0:
nogroup:x:65534:
"""


def passwd_text(image_text: str | None, *, name: str, uid: int, home: str, shell: str) -> str:
    """Return the image's passwd file with one line for the user, who owns name and uid alone."""
    line = f"{name}:x:{uid}:{uid}:{name}:{home}:{shell}"
    return _with_line(image_text or MINIMAL_PASSWD, line)


def group_text(image_text: str | None, *, name: str, gid: int) -> str:
    """Return the image's group file with the user's own group."""
    return _with_line(image_text or MINIMAL_GROUP, f"{name}:x:{gid}:")


def _with_line(text: str, line: str) -> str:
    """Append a line; drop the lines of the same name or number, which would be found first."""
    name, _, number = line.split(":")[:3]
    kept = [old for old in text.splitlines() if old.strip() and not _names(old, name, number)]
    return "\n".join([*kept, line]) + "\n"


def _names(line: str, name: str, number: str) -> bool:
    """Whether a line of passwd or group is about this name or this number."""
    fields = line.split(":")
    return fields[0] == name or fields[2:3] == [number]

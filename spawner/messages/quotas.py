"""Every sentence about what a person may have: choices, sums, what is left. Pure.

Each says what is refused, what they may have instead, and what to do.
"""

from collections.abc import Collection

from hub_config.sizes import format_bytes, format_seconds
from spawner.messages.text import short

OPTIONS_NOT_AN_OBJECT = "The options for a server must be a JSON object."
OPTIONS_NOT_JSON = "The options for a server must be JSON, and this is none."
OPTIONS_TOO_LARGE = "The options for a server are too large: they are a few words and numbers."
OPTIONS_NOT_TEXT = "The options for a server hold characters that are no text."
IMAGE_NOT_A_WORD = "The option image must be one word: the name of an image on the start page."
NAME_NOT_A_WORD = (
    "The name of a server must be one word of small letters, digits and single hyphens, at most "
    "30 of them, a letter first."
)
# What each option must look like.
WANTED = {
    "cpus": "The option cpus must be a number of cores, like 2 or 0.5.",
    "memory": "The option memory must be a size with its unit, like 4 GiB.",
    "gpus": "The option gpus must be a whole number of GPUs, like 0 or 1.",
    "session": "The option session must be a time with its unit, like 4 h.",
}
NO_GPU = "This machine has no GPU for servers; choose 0."
USER_NAMES_STAY = (
    "A person's name cannot be changed here: files, running servers and their history belong to "
    "it. Nothing was changed."
)
# Choices on the start page.
NONE = "None"
NO_LIMIT = "No limit"
MACHINE_UNKNOWN = (
    "The hub cannot read how much memory this machine has, so nothing can be started; "
    "tell your administrator."
)


def cores(cpus: float) -> str:
    """Return a number of cores in words: `1 core`, `0.5 cores`."""
    return "1 core" if cpus == 1 else f"{cpus:g} cores"


def memory(count: int) -> str:
    """Return an amount of memory in words; nothing at all has a unit, too."""
    return f"{format_bytes(count)} of memory"


def gpus(count: int) -> str:
    """Return a number of GPUs in words."""
    return _count(count, "GPU")


def later(amount: str) -> str:
    """Say that one has to wait for so much."""
    return f"{amount}, waits"


def processes(count: int) -> str:
    """Return a number of processes in words."""
    return "1 process" if count == 1 else f"{count} processes"


def servers(count: int) -> str:
    """Return a number of servers in words."""
    return _count(count, "server")


def session(seconds: int) -> str:
    """Return the length of a session in words."""
    return format_seconds(seconds)


def unknown_option(key: str, known: Collection[str]) -> str:
    """Say that there is no such option, and which there are."""
    return f"There is no option {short(key)}; there are {listed(known)}."


def unknown_field(key: str, known: Collection[str]) -> str:
    """Say that a server has no such field, and which it has."""
    return f"A server has no field {short(key)}; there are {listed(known)}."


def unknown_image(choice: str, images: Collection[str]) -> str:
    """Say that this image is not on offer, and which are."""
    return f"There is no image {short(choice)}; choose one of: {', '.join(images)}."


def too_much(most: str) -> str:
    """Say that one server may not have so much; `most` is in words."""
    return f"You may have at most {most}; choose that or less."


def too_long(seconds: int) -> str:
    """Say that a session may not last so long."""
    return f"Your server may run for at most {session(seconds)}; choose that or less."


def too_short(seconds: int) -> str:
    """Say that no session is so short."""
    return f"A server runs for at least {session(seconds)}; choose that or more."


def too_little(least: str) -> str:
    """Say that no server is so small; `least` is in words."""
    return f"A server needs at least {least}; choose that or more."


def fewer_gpus_here(count: int) -> str:
    """Say that the machine has fewer GPUs than the quota allows."""
    return f"This machine has only {gpus(count)}; choose that or less."


def person_full(left: str, most: str) -> str:
    """Say that a person's other servers leave too little; both in words."""
    return (
        f"You may have {most} in all, and your other servers leave {left}: "
        "choose at most that, or stop another server first."
    )


def person_used_up(most: str) -> str:
    """Say that a person's other servers leave nothing."""
    return f"You may have {most} in all, and your other servers have all of it: stop one first."


def too_many_servers(most: int) -> str:
    """Say that a person runs as many servers as they may."""
    if most == 1:
        return "You may run one server at a time, and another one of yours runs: stop it first."
    return f"You may run {servers(most)} at a time, and {most} of yours run: stop one first."


def named_servers_full(most: int) -> str:
    """Say that a person may not make another named server."""
    if most == 1:
        return "You may have one server, so none with a name of its own."
    return (
        f"You may have {servers(most)}, the one without a name included, and have them all: "
        "delete one you do not need."
    )


def name_reserved(name: str) -> str:
    """Say that a server of this name would stand in the way of the one without a name."""
    return f"The name {name} is a page of your other server; choose another one."


def group_full(group: str, left: str, most: str) -> str:
    """Say that a group's members leave too little; both in words."""
    return (
        f"The group {group} may have {most} in all, and its members leave {left}: "
        "choose at most that, or wait until others have stopped theirs."
    )


def group_used_up(group: str, most: str) -> str:
    """Say that a group's members leave nothing."""
    return (
        f"The group {group} may have {most} in all, and its members have all of it: "
        "you wait until others have stopped theirs."
    )


def group_never(group: str, most: str) -> str:
    """Say that a server is larger than what a whole group may have."""
    return f"The group {group} may have at most {most} in all; choose that or less."


def host_full(left: str) -> str:
    """Say that the machine has too little left; in words."""
    return (
        f"This machine has {left} left for servers: "
        "choose at most that, or wait until others have stopped theirs."
    )


def host_used_up(what: str) -> str:
    """Say that the machine has nothing left of something; `what` is a plural or a mass."""
    return (
        f"This machine has no {what} left for servers: you wait until others have stopped theirs."
    )


def host_never(most: str) -> str:
    """Say that the machine is smaller than a server."""
    return f"This machine has only {most} for all servers together; choose that or less."


def _count(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"


def listed(words: Collection[str]) -> str:
    """Return words as a sentence lists them."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last

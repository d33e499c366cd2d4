"""Every sentence a user can read about starting and stopping a server. Pure.

Each says what happened and, where there is something to do, what to do.
"""

import html
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from hub_config.sizes import format_bytes, format_share
from spawner.messages.budgets import end as end_of_gpu_time
from spawner.messages.leases import UNCLAIMED
from spawner.messages.quotas import cores, gpus, session
from spawner.messages.text import short
from spawner.messages.times import end as end_of_time
from spawner.quota import Quota
from spawner.runs import Kind, Reason, Receipt
from spawner.why import KILLED, TOLD_TO_END

# progress, in the order in which it happens
STEP_PREPARE = "Looking for your image and your files"
STEP_LEFTOVER = "Removing what an earlier start left behind"
STEP_CREATE = "Creating the container"
STEP_START = "Starting the container"
STEP_WAIT = "Waiting for JupyterLab to answer"

NO_ACCOUNT = "There is no account for this user yet: sign in once first."
ENGINE_UNAVAILABLE = (
    "Docker does not answer at the moment, so the server could not be started. "
    "Nothing is lost; try again in a minute or tell your administrator."
)
CANCELLED_IN_QUEUE = "the start was cancelled while it waited in the queue."
KEPT_VOLUME = "Its files are kept: the volume stays."
NO_SPACE = "There is no space left on this machine's disk; tell your administrator."
STORE_UNAVAILABLE = (
    "The hub cannot write its records, so nothing can be started; tell your administrator."
)
CONTAINER_GONE = "The server was removed from outside while it was starting."
UNEXPECTED = (
    "The server could not be started because of an error in the hub; tell your administrator."
)

SILENT = (
    "The hub was restarted, and this server has not answered it since: it may be busy or paused. "
    "It goes on by itself once it answers. You can also stop it; your files are kept."
)
STARTS_ANEW = (
    "The server was started anew at the same moment, so it was not stopped: stop it again if "
    "nobody wants it."
)

LOG_LINES = 20
LOG_LINE_LENGTH = 400
# The limits that nobody chooses.
FIXED = ("Shared memory", "Processes")
_SECRET = re.compile(
    r"(?i)\b((?:token|authorization|api_key|cookie)\b\W{0,3})(?:token |bearer )?\S+"
)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def limits(quota: Quota) -> tuple[tuple[str, str], ...]:
    """Return the limits of a server as name and value."""
    rows = [("CPU", cores(quota.cpus)), ("Memory", format_bytes(quota.memory_bytes))]
    if quota.gpus:
        rows.append(("GPU", gpus(quota.gpus)))
    if quota.session_seconds is not None:
        rows.append(("Session", session(quota.session_seconds)))
    fixed = (format_bytes(quota.shm_bytes), str(quota.pids))
    return (*rows, *zip(FIXED, fixed, strict=True))


def image_missing(image: str) -> str:
    """Say that the engine does not have the image."""
    return (
        f"The image {image} is not on this machine; your administrator can fetch it with deploy/up."
    )


def refused(sentence: str) -> str:
    """Say that the engine would not run the container, in the engine's own words."""
    return f"Docker refused to start the server: {short(sentence, 300)}"


def storage(problem: str) -> str:
    """Say that the user's files could not be made ready."""
    return f"Your files could not be made ready: {problem}"


def other_owner(path: str, uid: int, found: int) -> str:
    """Say that a directory belongs to somebody else."""
    return (
        f"{path} belongs to user id {found} instead of {uid}; "
        "your administrator has to decide whose files these are."
    )


def not_a_directory(path: str) -> str:
    """Say that something else stands where the directory should be."""
    return f"{path} is not a directory; your administrator has to move it away."


def volume_elsewhere(name: str, found: str, wanted: str) -> str:
    """Say that the volume of this name holds other files."""
    return f"The Docker volume {name} points to {found or 'other files'} instead of {wanted}."


def timed_out(seconds: float) -> str:
    """Say that the server never answered."""
    return f"The server did not answer within {seconds:.0f} seconds and was removed."


def ended(exit_code: int, *, out_of_memory: bool, memory_bytes: int) -> str:
    """Say why a server ended while it was starting."""
    limit = format_bytes(memory_bytes)
    if out_of_memory:
        return f"The server ran out of memory while starting: its limit is {limit}."
    if exit_code == KILLED:  # engines sometimes hear of the end before they hear of its cause
        return (
            "The server was killed while it was starting, "
            f"most likely because it needed more than its limit of {limit} of memory."
        )
    return f"The server ended while it was starting, with exit code {exit_code}."


def not_as_decided(keys: Collection[str]) -> str:
    """Say that the engine made another container; `keys` are its words for what is different."""
    return (
        f"Docker made this server in another way than decided ({', '.join(keys)}), so it was "
        "removed before anybody could use it; tell your administrator."
    )


def no_address(network: str) -> str:
    """Say that the container cannot be reached."""
    return f"the container got no address on the network {network}."


def store_not_a_file(url: str) -> str:
    """Say that runs and receipts are kept in a file and nowhere else."""
    return f"{url} is not the address of an SQLite file; write sqlite:///PATH."


def store_closed(path: str, problem: str) -> str:
    """Say that the store cannot be opened or written."""
    return (
        f"{path} cannot be read and written ({problem}): its directory must be there, and both "
        "must be writable for the hub; deploy/up makes what is missing."
    )


def store_full(path: str) -> str:
    """Say that nothing more can be noted."""
    return f"{path} cannot be written, because the disk is full: free some space on it."


def store_busy(path: str, seconds: float) -> str:
    """Say that somebody else does not let go of the store."""
    return (
        f"{path} was locked by another program for {seconds:g} seconds: "
        "end the program that has it open, and try again."
    )


def store_damaged(path: str, problem: str) -> str:
    """Say that the store is no longer what was written."""
    return (
        f"{path} is damaged ({problem}): stop the hub and put the file of your last backup in its "
        "place, or remove it with its -wal and -shm; then only receipts are lost."
    )


def store_newer(path: str, found: int, known: int) -> str:
    """Say that an older labhub must not touch a newer one's store."""
    return (
        f"{path} was written by a newer labhub (schema {found}, this one knows {known}): "
        "run that version again, or put the file of your last backup in its place."
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A receipt as a page tells it: `lead`, the time, a colon, `sentence`; below it the log."""

    lead: str
    at: datetime
    sentence: str
    log: tuple[str, ...]


def shown(end: Receipt) -> Shown:
    """Return a receipt for its owner's page; the log where it may tell the cause."""
    tells = {Reason.OUT_OF_MEMORY, Reason.EXITED, Reason.START_FAILED}
    lead = "Ended" if end.reason in {Reason.USER, Reason.ADMIN} else "Stopped"
    if end.kind is Kind.KERNEL:
        lead = "A program in your server was stopped"
    return Shown(lead, end.at, receipt(end), end.log if end.reason in tells else ())


def cancelled(at: datetime, *, waited: bool) -> Shown:
    """Return for its owner's page that a start ended before there was anything of a server."""
    return Shown("Ended", at, CANCELLED_IN_QUEUE if waited else _ENDS[Reason.CANCELLED], ())


def receipt(end: Receipt, viewer: str | None = None) -> str:  # noqa: PLR0911 - a table
    """Say why something ended and what to do, without the time.

    The text is for `viewer`; for the owner of the server when there is none.
    """
    viewer = end.holder.user if viewer is None else viewer
    match end.reason:
        case Reason.USER:
            return _stopped_by(end.actor or end.holder.user, viewer, "")
        case Reason.ADMIN if end.actor:
            return _stopped_by(end.actor, viewer, "the admin ")
        case Reason.OUT_OF_MEMORY:
            goes_on = "; the server itself goes on" if end.kind is Kind.KERNEL else ""
            return f"out of memory{_share(end)}{goes_on}. Ask for more or use smaller batches."
        case Reason.EXITED:
            return f"its program ended {_with_code(end.exit_code)}."
        case Reason.START_FAILED if end.exit_code not in {None, KILLED, TOLD_TO_END}:
            return f"the start failed, because its program ended {_with_code(end.exit_code)}."
        case Reason.IDLE | Reason.TIME_LIMIT:
            return end_of_time(end)
        case Reason.GPU_HOURS:
            return end_of_gpu_time(end.spent)
        case Reason.UNKNOWN if end.exit_code == KILLED:
            return f"it was killed, and nobody noted by whom. {_TWICE}"
    return _ENDS[end.reason]


_TWICE = "Start it again, and tell your administrator if it happens twice."
_ENDS = {
    Reason.ADMIN: "stopped by an administrator of this machine.",
    Reason.CANCELLED: "the start was cancelled.",
    Reason.START_FAILED: f"the start failed, because it did not answer. {_TWICE}",
    Reason.ENGINE_RESTARTED: (
        "Docker or the machine was restarted. Your files are untouched; start it again."
    ),
    Reason.LOST: (
        "its container was removed by somebody outside labhub. "
        "Your files are untouched; start it again."
    ),
    Reason.UNCLAIMED: UNCLAIMED,
    Reason.UNKNOWN: f"it ended, and nobody noted why. {_TWICE}",
}


def _stopped_by(actor: str, viewer: str, title: str) -> str:
    return "stopped by you." if actor == viewer else f"stopped by {title}{actor}."


def _share(end: Receipt) -> str:
    """Return what was used of the limit, as far as it is known."""
    if not end.limit_bytes:
        return ""
    if end.peak_bytes is None:
        return f", its limit is {format_bytes(end.limit_bytes)}"
    return f", {format_share(end.peak_bytes, end.limit_bytes)}"


def _with_code(exit_code: int | None) -> str:
    if exit_code == 0:
        return "by itself, as after Shut Down in JupyterLab"
    return "by itself" if exit_code is None else f"with code {exit_code}"


def log_tail(text: str, secrets: Collection[str] = ()) -> tuple[str, ...]:
    """Return the last lines of a server's log: no secrets, no control characters, no novels."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[hidden]")
    text = _SECRET.sub(r"\1[hidden]", _ESCAPE.sub("", text))
    lines = ("".join(c for c in line if c.isprintable()) for line in text.splitlines())
    return tuple(line[:LOG_LINE_LENGTH] for line in lines if line.strip())[-LOG_LINES:]


def as_html(sentence: str, tail: Collection[str]) -> str:
    """Return a sentence with the log's last lines as HTML; everything is escaped."""
    paragraph = f"<p>{html.escape(sentence)}</p>"
    if not tail:
        return paragraph
    lines = html.escape("\n".join(tail))
    return f'{paragraph}<p>The last lines of its log:</p><pre class="log-tail">{lines}</pre>'


def engine_trouble(detail: str) -> str:
    """Say on every page that the engine is away; the detail is for admins."""
    known = f" (Docker: {short(detail, 200)})" if detail else ""
    return (
        "Docker does not answer at the moment. Servers that run go on; none can be started or "
        f"stopped until it is back.{known}"
    )


def second_hub(path: object) -> str:
    """Say that another hub holds the instance."""
    return (
        f"{path}: another hub runs on this directory, so this one ends; "
        "stop the other one first, or give this instance a directory of its own"
    )


def image_fetching(image: str, progress: str) -> str:
    """Say that an image is on its way; `progress` is how far, empty while nobody knows."""
    far = f" ({progress})" if progress else ""
    return f"The image {image} is being fetched{far}; try again in a few minutes."


def image_not_fetched(image: str, why: str) -> str:
    """Say that an image could not be fetched, in the engine's own words."""
    return f"The image {image} could not be fetched ({short(why, 300)}); tell your administrator."

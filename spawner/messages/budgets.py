"""What people read about their GPU time: used, left, used up, and when it begins anew. Pure."""

from datetime import datetime

from spawner.budget import Account, Level, Standing
from spawner.messages.times import LEFT, span
from spawner.runs import Spent

HOUR_SECONDS = 3600
UNKNOWN_SPENT = "its user's GPU time was used up. Your files are untouched."


def hours(seconds: float) -> str:
    """Return an amount of GPU time in words: ``40 h``, ``1.5 h``, ``20 min``."""
    if seconds < HOUR_SECONDS:
        return span(seconds)
    return f"{seconds / HOUR_SECONDS:.1f}".removesuffix(".0") + " h"


def moment(anew: datetime) -> str:
    """Return when a budget begins anew: it always does so with a day."""
    return f"{anew:%A, %Y-%m-%d, %H:%M}"


def state(account: Account) -> str:
    """Say for the home page what was used of a budget, and what is left of it until when."""
    left = f"{hours(account.left_seconds)} left" if account.left_seconds else "nothing left"
    return (
        f"{hours(account.used_seconds)} of {hours(account.allowed_seconds)} used this "
        f"{account.period.name}, {left} until {moment(account.period.until)}"
    )


def refused(account: Account) -> str:
    """Say that no server with a GPU begins, until when, and what goes instead."""
    return (
        f"Your GPU time of this {account.period.name} is used up "
        f"({hours(account.used_seconds)} of {hours(account.allowed_seconds)}): start without a GPU "
        f"until it begins anew on {moment(account.period.until)}."
    )


def warning(standing: Standing) -> str:
    """Warn a user whose server has a GPU, as long as there is something to warn of."""
    account = standing.account
    share = f"{hours(account.used_seconds)} of {hours(account.allowed_seconds)}"
    match account.level:
        case Level.FAR:
            return ""
        case Level.USED_UP:
            return (
                f"Your server stops in {LEFT}: your GPU time of this {account.period.name} is used "
                f"up ({share}). Programs in it end; your files are kept. It begins anew on "
                f"{moment(account.period.until)}; until then, start without a GPU."
            )
    if account.lasts_seconds is None:
        return f"Of your GPU time of this {account.period.name}, {share} are used."
    return (
        f"Your GPU time of this {account.period.name} is used up in {LEFT} ({share} are used). "
        f"Servers with a GPU stop {span(standing.grace_seconds)} after that."
    )


def end(spent: Spent | None) -> str:
    """Say why the hub ended a server whose user's GPU time was used up."""
    if spent is None:
        return UNKNOWN_SPENT
    return (
        f"your GPU time of the {spent.period} was used up, {hours(spent.used_seconds)} of "
        f"{hours(spent.allowed_seconds)}. It begins anew on {moment(spent.anew_at)}; until then, "
        "start without a GPU. Your files are untouched."
    )

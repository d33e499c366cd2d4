"""Who may start now, who waits, and until when. Pure.

One round, whenever something changed:

1. The line. Whoever has waited for `reserve_after` stands in it, in the order of their coming. Its
   first gets the next devices; when there are too few yet, they are kept for it: nobody else starts
   on them unless they surely end, by their limit, before it can be expected to begin. So a large
   request is never starved by small ones. While three quarters of all devices are out by the line,
   it stands still, so that what is short gets through also when everything is overdue.
2. The ranking (spawner/order.py). Everybody else starts in its order; the first that finds too few
   devices gets a reserved start, and whoever comes after it may start only if by their limit they
   surely end before, or on other devices (EASY backfill, spawner/plan.py).

The ranking makes the mean wait short, the line bounds the longest: the line alone serves in the
order of coming with three quarters of the machine.

Who is not there (`lost`) is passed over, and keeps the place in the order.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile

from spawner.admission import Refused
from spawner.lease import Decision, Granted, Queued, Scene, Ticket
from spawner.messages import leases as messages
from spawner.order import line, ranked
from spawner.plan import Plan
from spawner.runs import Holder

# While so much of the machine is out by the line, it stands still.
LINE_SHARE = 0.75
# People ask for two or three times as much as they need: of the time that the leases before it have
# left, the first of the line is expected to wait for this part.
EXPECTED_PART = 0.4


def decide(scene: Scene, ticket: Ticket, now: float) -> Decision:
    """Return what becomes of a ticket, which need not be in the scene yet."""
    for lease in scene.leases:
        if lease.holder == ticket.holder:
            return Granted(lease.devices, lease.late)
    if sentence := refusal(scene, ticket):
        return Refused(sentence)
    scene = joined(scene, ticket)
    for each, granted in turns(scene, now):
        if each.holder == ticket.holder:
            return granted
    order = served(scene, now)
    position = next(n for n, each in enumerate(order, 1) if each.holder == ticket.holder)
    return Queued(position, _eta(scene, order[:position], now))


def refusal(scene: Scene, ticket: Ticket) -> str:
    """Return why waiting would not help a ticket; empty when it may wait."""
    user, wanted = ticket.holder.user, ticket.wanted
    if wanted > len(scene.devices):
        return messages.more_than_here(len(scene.devices))
    if ticket.quota is not None:
        had = sum(len(each.devices) for each in scene.leases if each.holder.user == user)
        before = takewhile(lambda each: each.holder != ticket.holder, scene.tickets)
        had += sum(each.wanted for each in before if each.holder.user == user)
        if wanted + had > ticket.quota:
            return messages.more_than_quota(ticket.quota, had)
    for group in sorted(ticket.groups & scene.totals.keys()):
        if wanted > scene.totals[group]:
            return messages.more_than_total(group, scene.totals[group])
    return ""


def turns(scene: Scene, now: float) -> Iterator[tuple[Ticket, Granted]]:
    """Yield each ticket that may start now, with its devices; together they fit."""
    plan = Plan(scene, now)
    if not plan.free:
        return
    present = [each for each in scene.tickets if each.lost is None]
    done: set[Holder] = set()
    for ticket, granted in _by_line(scene, plan, present):
        done.add(ticket.holder)
        if granted is not None:
            yield ticket, granted
    if done:
        present = [each for each in present if each.holder not in done]
    yield from _by_rank(scene, plan, present)


def _by_rank(scene: Scene, plan: Plan, tickets: list[Ticket]) -> Iterator[tuple[Ticket, Granted]]:
    """Yield the tickets that start by the ranking, or in the gaps before a reserved start."""
    if not plan.may_fit(tickets):
        return
    reserved = False
    for ticket in ranked(scene, tickets, plan.now):
        if not plan.free:
            return
        if chosen := plan.fitting(ticket):
            plan.start(ticket, chosen)
            yield ticket, Granted(tuple(each.device for each in chosen))
        elif not reserved:
            plan.reserve(ticket)
            reserved = True


def _by_line(
    scene: Scene, plan: Plan, present: list[Ticket]
) -> Iterator[tuple[Ticket, Granted | None]]:
    """Yield the tickets whose turn it is by the line; without devices the one that has to wait."""
    most = LINE_SHARE * len(plan.places)
    lent = sum(len(each.devices) for each in scene.leases if each.late)
    for ticket in line(scene, present, plan.now) if lent < most else ():
        if not plan.free or lent >= most:
            return
        chosen = plan.fitting(ticket)
        if not chosen:
            plan.reserve(ticket, EXPECTED_PART)
            yield ticket, None
            return
        plan.start(ticket, chosen)
        lent += ticket.wanted
        yield ticket, Granted(tuple(each.device for each in chosen), late=True)


def joined(scene: Scene, ticket: Ticket) -> Scene:
    """Return the scene with this ticket in place of the one its holder has, or else at the end."""
    if any(each.holder == ticket.holder for each in scene.tickets):
        mine = ticket.holder
        tickets = tuple(ticket if each.holder == mine else each for each in scene.tickets)
    else:
        tickets = (*scene.tickets, ticket)
    return replace(scene, tickets=tickets)


def served(scene: Scene, now: float) -> list[Ticket]:
    """Return all tickets in the order in which they are served."""
    first = line(scene, scene.tickets, now)
    late = {each.holder for each in first}
    rest = [each for each in scene.tickets if each.holder not in late]
    return [*first, *ranked(scene, rest, now)]


def _eta(scene: Scene, until: list[Ticket], now: float) -> float | None:
    """Return when the last of these tickets starts if each takes all its time, and none leaves."""
    plan = Plan(scene, now)
    moment = now
    for ticket in until:
        moment = plan.settle(ticket)
    return moment if moment < float("inf") else None


def etas(scene: Scene, now: float) -> list[tuple[Ticket, float | None]]:
    """Return all tickets in their order, each with the moment at which it starts."""
    plan = Plan(scene, now)
    found = ((ticket, plan.settle(ticket)) for ticket in served(scene, now))
    return [(ticket, moment if moment < float("inf") else None) for ticket, moment in found]


def what_if(
    scene: Scene, ticket: Ticket, lengths: list[float], now: float
) -> list[tuple[float, float | None]]:
    """Return for each length when the ticket would start if that were what it asked for."""
    found = []
    for length in lengths:
        asking = replace(ticket, asked=length)
        decision = decide(scene, asking, now)
        if not isinstance(decision, Refused):
            found.append((length, now if isinstance(decision, Granted) else decision.eta))
    return found

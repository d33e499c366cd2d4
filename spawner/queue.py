"""Who may start now, who waits, and until when. Pure.

One round, whenever something changed:

1. The line. Whoever has waited for `reserve_after` stands in it, in the order of their coming, and
   later where others who wait have more priority. Its first gets the next devices; when there are
   too few yet, they are kept for it: nobody else starts on them unless they surely end, by their
   limit, before it can be expected to begin. So a large request is never starved by small ones.
   While three quarters of all devices are out by the line, it stands still, so that what is short
   gets through also when everything is overdue.
2. The ranking (spawner/order.py). Everybody else starts in its order; the first that finds too few
   devices gets a reserved start, and whoever comes after it may start only if by their limit they
   surely end before, or on other devices (EASY backfill, spawner/plan.py).

Who cannot start at all as things are, because too few devices are left while one is mended, keeps
nothing and holds nobody up: what would be kept for it is kept for whoever comes next.

The ranking makes the mean wait short, the line bounds the longest: the line alone serves in the
order of coming with three quarters of the machine.

Whoever an admin moved comes before all others, or behind them, in both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf

from spawner.lease import Decision, Granted, Lease, Queued, Scene, Ticket
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
    scene = joined(scene, ticket)
    for each, granted in turns(scene, now):
        if each.holder == ticket.holder:
            return granted
    order = served(scene, now)
    position = next(n for n, each in enumerate(order, 1) if each.holder == ticket.holder)
    return Queued(position, _eta(scene, order[:position], now))


def turns(scene: Scene, now: float) -> Iterator[tuple[Ticket, Granted]]:
    """Yield each ticket that may start now, with its devices; together they fit.

    Once nobody of more priority waits any more, others may stand in the line.
    """
    while found := list(_by_turns(scene, now)):
        yield from found
        begun = {ticket.holder for ticket, _ in found}
        tickets = tuple(each for each in scene.tickets if each.holder not in begun)
        if len({each.priority for each in scene.tickets}) == 1:
            return
        leases = (_lease(ticket, granted, now) for ticket, granted in found)
        scene = replace(scene, leases=(*scene.leases, *leases), tickets=tickets)


def _lease(ticket: Ticket, granted: Granted, now: float) -> Lease:
    until = None if ticket.asked is None else now + ticket.asked
    return Lease(ticket.holder, granted.devices, now, until, ticket.draws, granted.late)


def _by_turns(scene: Scene, now: float) -> Iterator[tuple[Ticket, Granted]]:
    """Yield those that may start while the line is what it is now."""
    plan = Plan(scene, now)
    tickets = scene.tickets
    if not plan.free and all(each.wanted for each in tickets):
        return
    done: set[Holder] = set()
    for ticket, granted in _by_line(scene, plan):
        done.add(ticket.holder)
        if granted is not None:
            yield ticket, granted
    if plan.may_fit(tickets):
        yield from _by_rank(scene, plan, [each for each in tickets if each.holder not in done])


def _by_rank(
    scene: Scene, plan: Plan, tickets: Sequence[Ticket]
) -> Iterator[tuple[Ticket, Granted]]:
    """Yield the tickets that start by the ranking, or in the gaps before a reserved start."""
    reserved, devices_only = False, all(each.wanted for each in tickets)
    for ticket in ranked(scene, tickets, plan.now):
        if devices_only and not plan.free:
            return
        chosen = plan.fitting(ticket)
        if chosen is not None:
            plan.start(ticket, chosen)
            yield ticket, Granted(tuple(each.device for each in chosen))
        elif not reserved:
            reserved = plan.reserve(ticket) < inf


def _by_line(scene: Scene, plan: Plan) -> Iterator[tuple[Ticket, Granted | None]]:
    """Yield the tickets whose turn it is by the line; without devices the one that has to wait."""
    most = LINE_SHARE * len(plan.places) or 1
    lent = sum(len(each.devices) for each in scene.leases if each.late)
    for ticket in line(scene, scene.tickets, plan.now) if lent < most else ():
        if lent >= most:
            return
        chosen = plan.fitting(ticket)
        if chosen is None:
            start = plan.reserve(ticket, EXPECTED_PART)
            yield ticket, None
            if start < inf:
                return
            continue
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
    plan = Plan(scene, now, guess=False)
    moment = now
    for ticket in until:
        moment = plan.settle(ticket)
    return moment if moment < inf else None


def etas(scene: Scene, now: float) -> list[tuple[Ticket, float | None]]:
    """Return all tickets in their order, each with the moment at which it starts."""
    plan = Plan(scene, now, guess=False)
    found = ((ticket, plan.settle(ticket)) for ticket in served(scene, now))
    return [(ticket, moment if moment < inf else None) for ticket, moment in found]


def what_if(
    scene: Scene, ticket: Ticket, lengths: Sequence[float | None], now: float
) -> list[tuple[float | None, float | None]]:
    """Return for each length when the ticket would start if that were what it asked for.

    None is without an end, and a start that nobody can tell.
    """
    found = []
    for length in lengths:
        asking = replace(ticket, asked=length)
        decision = decide(scene, asking, now)
        found.append((length, now if isinstance(decision, Granted) else decision.eta))
    return found

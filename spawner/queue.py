"""Who may start now, who waits, and until when. Pure.

One round, whenever something changed:

1. The line. Whoever has waited for `reserve_after` stands in it, in the order of their coming, and
   later where others who wait have more priority. Its first gets the next devices; when there are
   too few yet, they are kept for it: nobody else starts on them unless they surely end, by their
   limit, before it can be expected to begin. So a large request is never starved by small ones.
   While three quarters of all devices are out by the line, it stands still, so that what is short
   gets through also when everything is overdue. How strict it is depends on how long people wait
   (spawner/law.py): until two days, what is not short does not go first then either.
2. The ranking (spawner/order.py). Everybody else starts in its order; the first that finds too few
   devices gets a reserved start, and whoever comes after it may start only if by their limit they
   surely end before, or on other devices (EASY backfill, spawner/plan.py).

Who cannot start at all as things are, because too few devices are left while one is mended, keeps
nothing and holds nobody up: what would be kept for it is kept for whoever comes next.

The ranking makes the mean wait short, the line bounds the longest: it serves in the order of coming
with three quarters of the machine, or half of it while nobody has or wants more than one device.

Whoever an admin moved comes before all others, or behind them, in both.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

from spawner.law import Law, law
from spawner.lease import Decision, Granted, Lease, Queued, Scene, Ticket
from spawner.order import line, ranked
from spawner.plan import Plan
from spawner.runs import Holder


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

    Once nobody of more priority waits any more, others may stand in the line; and once those have
    started who had waited the longest, it may be more strict.
    """
    while found := list(_by_turns(scene, now)):
        yield from found
        begun = {ticket.holder for ticket, _ in found}
        tickets = tuple(each for each in scene.tickets if each.holder not in begun)
        leases = (_lease(ticket, granted, now) for ticket, granted in found)
        scene = replace(scene, leases=(*scene.leases, *leases), tickets=tickets)


def _lease(ticket: Ticket, granted: Granted, now: float) -> Lease:
    until = None if ticket.asked is None else now + ticket.asked
    return Lease(ticket.holder, granted.devices, now, until, ticket.draws, granted.late)


def _by_turns(scene: Scene, now: float) -> Iterator[tuple[Ticket, Granted]]:
    """Yield those that may start while the line is what it is now."""
    plan = Plan(scene, now)
    if not plan.free and all(each.wanted for each in scene.tickets):
        return
    left = {each.holder: each for each in scene.tickets}
    for ticket, granted in _round(scene, plan, left):
        del left[ticket.holder]
        if granted is not None:
            yield ticket, granted


# Who starts, with what; without devices who waits for a start that is reserved, or for no start.
_Turn = tuple[Ticket, Granted | None]


def _round(scene: Scene, plan: Plan, left: Mapping[Holder, Ticket]) -> Iterator[_Turn]:
    """Yield the turns of the line and of the ranking; who had theirs is not `left` any more."""
    late = yield from _by_line(scene, plan, left)
    short = law(scene, late, plan.now).short
    stands_still = any(each.holder in left for each in late[:1])
    if stands_still and short is not None and plan.may_fit(left.values()):
        asking = [each for each in left.values() if each.asked is not None and each.asked <= short]
        if plan.may_fit(asking):
            yield from _by_rank(scene, plan, asking, None)
        late = yield from _by_line(scene, plan, left, stops=False)
    if plan.may_fit(left.values()):
        yield from _by_rank(scene, plan, list(left.values()), law(scene, late, plan.now))


def _by_rank(
    scene: Scene, plan: Plan, tickets: Sequence[Ticket], strict: Law | None
) -> Iterator[_Turn]:
    """Yield the tickets that start by the ranking, or in the gaps before a reserved start.

    By the law, devices are kept for the first that finds too few; none without one.
    """
    reserved, devices_only = False, all(each.wanted for each in tickets)
    for ticket in ranked(scene, tickets, plan.now):
        if devices_only and not plan.free:
            return
        chosen = plan.fitting(ticket)
        if chosen is not None:
            plan.start(ticket, chosen)
            yield ticket, Granted(tuple(each.device for each in chosen))
        elif strict is not None and not reserved:
            reserved = plan.reserve(ticket, strict.part_of_ranked(ticket)) < inf


def _by_line(
    scene: Scene, plan: Plan, left: Mapping[Holder, Ticket], *, stops: bool = True
) -> Generator[_Turn, None, list[Ticket]]:
    """Yield the turns of the line, which `stops` at its share; return who still stands in it."""
    lent = sum(len(each.devices) for each in scene.leases if each.late)
    late = line(scene, list(left.values()), plan.now)
    for index, ticket in enumerate(late):
        strict = law(scene, late[index:], plan.now)
        if stops and lent >= (strict.share * len(plan.places) or 1):
            return late[index:]
        chosen = plan.fitting(ticket)
        if chosen is None:
            start = plan.reserve(ticket, strict.part_of_first(ticket))
            yield ticket, None
            if start < inf:
                return late[index:]
            continue
        plan.start(ticket, chosen)
        lent += ticket.wanted
        yield ticket, Granted(tuple(each.device for each in chosen), late=True)
    return []


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

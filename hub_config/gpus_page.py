"""The page "GPUs" for admins: every device, who has it, who waits, and what can be done about it.

GET  /hub/gpus                   the page
POST /hub/gpus                   a button: do=ORDER of=UUID or USER[/NAME] (spawner/orders.py)
GET  /hub/api/labhub/gpus        the same as JSON
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import url_path_join
from tornado.web import HTTPError, authenticated

from hub_config.status import device_facts
from spawner import board
from spawner.desk import Desk
from spawner.gate import records_of
from spawner.messages import leases as messages
from spawner.orders import ORDERS
from spawner.scene import Records, standing
from spawner.store import Ledger

if TYPE_CHECKING:
    from hub_config.schema import Config

SEE_OTHER = 303
BAD_REQUEST, CONFLICT, UNAVAILABLE = 400, 409, 503
SCOPE = "admin-ui"


def routes(
    desk: Desk, config: "Callable[[], Config]"
) -> list[tuple[str, type[BaseHandler], dict[str, Any]]]:
    """Return what the hub has to serve."""
    facts = {"desk": desk, "lab_config": config}
    return [(r"/gpus", GpusPage, facts), (r"/api/labhub/gpus", GpusHandler, facts)]


class _Facts:
    """What both show."""

    def initialize(self, desk: Desk, lab_config: "Callable[[], Config]") -> None:
        """Know whom to ask."""
        self.desk, self.lab_config = desk, lab_config

    async def facts(self) -> dict[str, Any]:
        """Return all of it, as JSON has it."""
        records = await self.ledger(lambda ledger: records_of(ledger, self.desk))
        sight = self.desk.sight
        found = standing(self.desk.devices(self.lab_config().gpus), records, sight)
        told = [device_facts(each, sight) for each in found]
        return {
            "devices": board.devices(found, records, told),
            "queue": board.queue(records.tickets, self.desk.room.places),
        }

    async def ledger(self, work: Callable[[Ledger], Any]) -> Any:  # noqa: ANN401
        """Do work on the store, or answer with a sentence."""
        nothing = Records(())
        found = await self.desk.receipts.transact(work, otherwise=nothing)
        if found is nothing:
            raise HTTPError(UNAVAILABLE, messages.NOT_READ)
        return found


class GpusHandler(_Facts, APIHandler):
    """The board for scripts."""

    @needs_scope(SCOPE)
    async def get(self) -> None:
        """Show it."""
        self.finish(await self.facts())


class GpusPage(_Facts, BaseHandler):
    """The board for people, and its buttons."""

    @authenticated
    @needs_scope(SCOPE)
    async def get(self) -> None:
        """Show it."""
        await self.show()

    @authenticated
    @needs_scope(SCOPE)
    async def post(self) -> None:
        """Do what a button says, and show the page again, with a sentence if nothing was done."""
        wish, subject = self.get_body_argument("do", ""), self.get_body_argument("of", "")
        if wish not in ORDERS:
            raise HTTPError(BAD_REQUEST, messages.NO_SUCH_ORDER)
        if why := await self.refusal(wish, subject):
            self.set_status(CONFLICT)
            await self.show(why)
            return
        self.desk.room.due.set()
        self.redirect(url_path_join(self.hub.base_url, "gpus"), status=SEE_OTHER)

    async def refusal(self, wish: str, subject: str) -> str:
        """Do what is wished; return why there was nothing to do, "" when it is done."""
        known = [each.id for each in self.desk.devices(self.lab_config().gpus)]
        if wish == "drain" and subject not in known:
            return messages.no_such_device(subject, known)
        actor = self.current_user.name
        done = await self.ledger(lambda ledger: ORDERS[wish](ledger, subject, actor))
        return "" if done else messages.nothing_done(wish, subject)

    async def show(self, problem: str = "") -> None:
        """Show the board."""
        self.finish(await self.render_template("gpus.html", problem=problem, **await self.facts()))

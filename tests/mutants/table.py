"""The defects: where, what stands there, what is planted instead, and who must notice."""

from dataclasses import dataclass

LOOKS = "tests/hub/test_looks.py"
LANES = "tests/hub/test_engine_lanes.py"
MEANINGS = "tests/hub/test_engine_meanings.py tests/hub/test_engine_answers.py"
EVENTS = "tests/hub/test_engine_events.py tests/hub/test_engine_calls.py"
RECONCILE = "tests/unit/test_reconcile.py"
STORE = "tests/hub/test_store.py"
WHY = "tests/unit/test_why.py"
ERRORS = "tests/unit/test_engine_errors.py"
WATCH = "tests/hub/test_watch.py"
GPUS = "tests/hub/test_gpus.py"
FAULTS = "tests/hub/test_spawn_faults.py"
IDLENESS = "tests/unit/test_idleness.py"
TIMES = "tests/hub/test_times.py"
TIMEKEEPING = "tests/hub/test_timekeeping.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect. `before` stands exactly once in the file; `tests` are pytest's arguments."""

    name: str
    what: str
    path: str
    before: str
    after: str
    tests: str


MUTANTS = (
    Mutant(
        "a-list-not-found-is-gone",
        "a 404 to a listing counts as: there is no such container",
        "spawner/engine_errors.py",
        "    error = translate(status, sentence)\n"
        "    return UnknownError(sentence) if isinstance(error, NotFoundError) else error\n",
        "    return translate(status, sentence)\n",
        ERRORS,
    ),
    Mutant(
        "one-404-is-proof",
        "a 404 by id is enough, the labels are not asked",
        "spawner/desk.py",
        "        listed = sorted(await self.engine.listed(labels)",
        "        if identifier:\n            return None\n"
        "        listed = sorted(await self.engine.listed(labels)",
        LOOKS,
    ),
    Mutant(
        "poll-guesses",
        "an engine that says nothing means that the server stopped",
        "spawner/spawner.py",
        'self.log.debug("Docker says nothing about %s: %s", self._log_name, error)\n'
        "            return None",
        'self.log.debug("Docker says nothing about %s: %s", self._log_name, error)\n'
        "            return 0",
        f"{FAULTS} -k errors_of_the_engine",
    ),
    Mutant(
        "500-is-404",
        "status 500 is translated to: not found",
        "spawner/engine_errors.py",
        "    if status == 404:",
        "    if status in {404, 500}:",
        ERRORS,
    ),
    Mutant(
        "finish-the-busy",
        "a round ends containers of servers that are being started",
        "spawner/reconcile.py",
        "        if seen.holder in view.busy:\n            continue\n",
        "",
        RECONCILE,
    ),
    Mutant(
        "close-the-busy",
        "a round writes receipts for starts under way",
        "spawner/reconcile.py",
        "if run.name not in there and run.holder not in view.busy:",
        "if run.name not in there:",
        RECONCILE,
    ),
    Mutant(
        "busy-only-after",
        "who is busy is asked only after the engine",
        "spawner/watch.py",
        "        busy = set(self._hub.busy())\n        listed",
        "        busy: set[Holder] = set()\n        listed",
        LOOKS,
    ),
    Mutant(
        "orphans-stay",
        "containers that nobody wants are left alone",
        "spawner/reconcile.py",
        "            yield Finish(seen)\n",
        "            pass\n",
        RECONCILE,
    ),
    Mutant(
        "any-instance",
        "the watch looks at the containers of every instance",
        "spawner/desk.py",
        '{"labhub.instance": self.lab.name, "labhub.role": "server"}',
        '{"labhub.role": "server"}',
        f"{WATCH} -k nobody_wants",
    ),
    Mutant(
        "no-round-after-a-gap",
        "after a gap in the events nobody looks",
        "spawner/watch.py",
        "        self._desk.round_due.set()  # there may have been a gap\n",
        "",
        f"{LOOKS} -k gap",
    ),
    Mutant(
        "deaths-are-ignored",
        "a die event tells nobody",
        "spawner/watch.py",
        'if event.action in {"die", "destroy"}:',
        "if event.action in {}:",
        f"{WATCH} -k at_once",
    ),
    Mutant(
        "intent-after-the-act",
        "a run is not noted before its container is made",
        "spawner/gate.py",
        "            ledger.begin(run)\n",
        "",
        f"{GPUS} -k same_click",
    ),
    Mutant(
        "a-failed-start-goes-on",
        "what a failed start still had to do is done to the next one",
        "spawner/tasks.py",
        "        for task in tasks:\n            task.cancel()\n"
        "        await asyncio.wait(tasks)\n",
        "",
        LOOKS,
    ),
    Mutant(
        "remove-before-the-receipt",
        "the container is removed before its end is written",
        "spawner/ends.py",
        "        log_text = await self._log_text(state.id) if",
        "        await self.remove_surely(state.id)\n"
        "        log_text = await self._log_text(state.id) if",
        f"{WATCH} -k at_once",
    ),
    Mutant(
        "two-receipts",
        "a run may get a second receipt",
        "spawner/ledger.py",
        "        if self._end_of(receipt.run) is not None:\n            return False\n",
        "",
        STORE,
    ),
    Mutant(
        "last-asked-wins",
        "who asks for the end later replaces who asked first",
        "spawner/ledger.py",
        ", _may_note(reason)]",
        "]",
        STORE,
    ),
    Mutant(
        "a-late-stop-ends-another",
        "what is asked of one run is asked of every run of its server",
        "spawner/ledger.py",
        "        mine += [of_run.container == container] if container else []\n",
        "",
        STORE,
    ),
    Mutant(
        "memory-is-no-reason",
        "out of memory is not told from other ends",
        "spawner/why.py",
        "    ran_out = facts.out_of_memory or facts.oom_event\n",
        "    ran_out = False\n",
        WHY,
    ),
    Mutant(
        "one-lane",
        "stops wait in the lane of the inspects",
        "spawner/lanes.py",
        "run_in_executor(self._pools[lane],",
        "run_in_executor(next(iter(self._pools.values())),",
        LANES,
    ),
    Mutant(
        "cancel-keeps-the-address",
        "a cancelled start is called ready for a second",
        "spawner/spawner.py",
        "                self.server = None\n                self.user.db.commit()\n",
        "",
        f"{FAULTS} -k no_ghost",
    ),
    Mutant(
        "two-hubs",
        "a second hub on the same directory is let in",
        "hub_config/hub.py",
        "fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        f"{WATCH} -k second_hub",
    ),
    Mutant(
        "routes-stay-lost",
        "a proxy that was restarted gets no routes",
        "hub_config/hub.py",
        "                    if await self._check_routes():\n",
        "                    if True:\n",
        f"{WATCH} -k proxy_that_was_killed",
    ),
    Mutant(
        "silence-is-quiet",
        "a server that does not answer counts as one without busy kernels",
        "spawner/idleness.py",
        "steady, answered is not None and not answered.is_busy",
        "steady, answered is None or not answered.is_busy",
        IDLENESS,
    ),
    Mutant(
        "an-open-tab-is-use",
        "what the proxy passes on counts as activity",
        "hub_config/answers.py",
        "        await self.proxy.check_routes(self.users, self._service_map)\n",
        "        await super().update_last_activity()\n",
        f"{TIMES} -k open_tab",
    ),
    Mutant(
        "the-adopted-are-not-asked",
        "a hub that was restarted asks with the server's own token, which it does not know",
        "hub_config/answers.py",
        "return await ask(spawner.server.url, token)",
        "return await ask(spawner.server.url, spawner.api_token)",
        f"{TIMES} -k restarted_ends",
    ),
    Mutant(
        "an-extension-is-undone",
        "a round that began before an extension writes what it had read",
        "spawner/timekeeping.py",
        "        async with self._writing:\n            run =",
        "        async with contextlib.AsyncExitStack():\n            run =",
        TIMEKEEPING,
    ),
)

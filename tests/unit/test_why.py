"""Why a server ended: the table of why.py, line by line, and what holds for all facts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.runs import Reason
from spawner.why import Facts, why

GONE = Facts(found=False)
CODE_0 = Facts(found=True, exit_code=0)
CODE_3 = Facts(found=True, exit_code=3)
KILLED = Facts(found=True, exit_code=137)
TOLD = Facts(found=True, exit_code=143)
CODE_255 = Facts(found=True, exit_code=255)

TABLE = (
    # what is seen                                              is read as
    # somebody asked: whatever else happened, that is why
    (replace(TOLD, asked=Reason.USER), Reason.USER),
    (replace(KILLED, asked=Reason.ADMIN, outside_signal=True), Reason.ADMIN),
    (replace(KILLED, asked=Reason.IDLE, out_of_memory=True), Reason.IDLE),
    (replace(CODE_255, asked=Reason.TIME_LIMIT, engine_was_away=True), Reason.TIME_LIMIT),
    (replace(GONE, asked=Reason.CANCELLED, answered=False), Reason.CANCELLED),
    # somebody on the machine: docker stop, docker kill, docker rm -f
    (replace(TOLD, outside_signal=True), Reason.ADMIN),
    (replace(KILLED, outside_signal=True), Reason.ADMIN),
    (replace(CODE_0, outside_signal=True), Reason.ADMIN),
    (replace(GONE, outside_signal=True), Reason.ADMIN),
    (replace(KILLED, outside_signal=True, answered=False), Reason.ADMIN),
    # and a kernel's end an hour ago does not make it a lack of memory
    (replace(KILLED, outside_signal=True, out_of_memory=True), Reason.ADMIN),
    # memory
    (replace(KILLED, out_of_memory=True), Reason.OUT_OF_MEMORY),
    (replace(KILLED, oom_event=True), Reason.OUT_OF_MEMORY),
    (replace(GONE, oom_event=True), Reason.OUT_OF_MEMORY),
    (replace(KILLED, out_of_memory=True, answered=False), Reason.OUT_OF_MEMORY),
    (replace(KILLED, out_of_memory=True, engine_was_away=True), Reason.OUT_OF_MEMORY),
    # but not when the server ended in peace, or failed of its own, after a kernel's end
    (replace(CODE_3, out_of_memory=True), Reason.EXITED),
    (replace(CODE_3, oom_event=True), Reason.EXITED),
    (replace(CODE_3, out_of_memory=True, answered=False), Reason.START_FAILED),
    (replace(CODE_0, out_of_memory=True), Reason.EXITED),
    (replace(TOLD, out_of_memory=True), Reason.UNKNOWN),
    # the engine or the machine
    (replace(TOLD, engine_was_away=True), Reason.ENGINE_RESTARTED),
    (replace(KILLED, engine_was_away=True), Reason.ENGINE_RESTARTED),
    (replace(CODE_0, engine_was_away=True), Reason.ENGINE_RESTARTED),
    (replace(GONE, engine_was_away=True), Reason.ENGINE_RESTARTED),
    (CODE_255, Reason.ENGINE_RESTARTED),
    (replace(CODE_255, out_of_memory=True), Reason.ENGINE_RESTARTED),
    (replace(CODE_255, answered=False), Reason.ENGINE_RESTARTED),
    # but a program's own failure stays its own
    (replace(CODE_3, engine_was_away=True), Reason.EXITED),
    (replace(CODE_3, engine_was_away=True, outside_signal=True), Reason.EXITED),
    # an engine that shuts down signals its containers like an admin
    (replace(TOLD, engine_was_away=True, outside_signal=True), Reason.ENGINE_RESTARTED),
    # it never answered
    (replace(CODE_3, answered=False), Reason.START_FAILED),
    (replace(CODE_0, answered=False), Reason.START_FAILED),
    (replace(KILLED, answered=False), Reason.START_FAILED),
    (replace(GONE, answered=False), Reason.START_FAILED),
    # nobody was seen to end it
    (GONE, Reason.LOST),
    (KILLED, Reason.UNKNOWN),
    (TOLD, Reason.UNKNOWN),
    (Facts(found=True), Reason.UNKNOWN),
    (CODE_0, Reason.EXITED),
    (CODE_3, Reason.EXITED),
)

FACTS = st.builds(
    Facts,
    found=st.booleans(),
    exit_code=st.none() | st.sampled_from([0, 1, 3, 137, 143, 255]) | st.integers(),
    out_of_memory=st.booleans(),
    oom_event=st.booleans(),
    asked=st.none() | st.sampled_from(Reason),
    outside_signal=st.booleans(),
    engine_was_away=st.booleans(),
    answered=st.booleans(),
)


@pytest.mark.parametrize(("facts", "reason"), TABLE)
def test_what_is_seen_is_read_as(facts: Facts, reason: Reason) -> None:
    assert why(facts) is reason


@given(FACTS)
def test_all_facts_have_a_reason_and_who_asked_is_always_it(facts: Facts) -> None:
    assert why(facts) in Reason
    assert facts.asked is None or why(facts) is facts.asked


@given(FACTS)
def test_no_reason_is_given_without_its_evidence(facts: Facts) -> None:
    unasked = replace(facts, asked=None)
    evidence = {
        Reason.ADMIN: unasked.outside_signal,
        Reason.OUT_OF_MEMORY: unasked.out_of_memory or unasked.oom_event,
        Reason.ENGINE_RESTARTED: unasked.engine_was_away or unasked.exit_code == 255,
        Reason.START_FAILED: not unasked.answered,
        Reason.LOST: not unasked.found,
        Reason.EXITED: unasked.found and unasked.exit_code is not None,
        Reason.UNKNOWN: unasked.found,
    }
    assert evidence[why(unasked)]

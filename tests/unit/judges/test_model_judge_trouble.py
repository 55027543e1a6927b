"""All troubles at once: counts add up and nothing is left open."""

import asyncio
import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.judges.protocol import Label, Usage

from .model_judge import CLAIM, claims, judging

pytestmark = pytest.mark.usefixtures("no_back_off")

TROUBLE = ["429", "500", "503", "400", "drop", "half", "broken", "empty", "text", "wrong", "null", "hang"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shares=st.dictionaries(st.sampled_from(TROUBLE), st.floats(0.01, 0.15), max_size=6),
    seed=st.integers(0, 2**32),
    max_retries=st.integers(0, 3),
    per_rollout=st.booleans(),
)
def test_counts_add_up_and_no_label_is_invented(shares, seed, max_retries, per_rollout):
    # Only a hanging call needs a deadline; on a busy machine a short one gives up calls that the server never hears of.
    hanging = "hang" in shares

    async def run():
        script = Script(answer=lambda case: '["INCORRECT", "INCORRECT"]' if case.whole_rollout else "INCORRECT")
        script.shares, script.seed = shares, seed
        with judge_endpoint(script) as server:
            async with judging(
                server,
                deadline_s=0.8 if hanging else 120.0,
                max_retries=max_retries,
                concurrency=16,
                per_rollout=per_rollout,
            ) as judge:
                answers = await asyncio.gather(*(judge.ask_all(claims(2)) for _ in range(40)))
        return [verdict for verdicts in answers for verdict in verdicts], server

    verdicts, server = asyncio.run(run())
    usage = sum((verdict.usage for verdict in verdicts), Usage())
    assert usage.calls >= server.calls if hanging else usage.calls == server.calls
    assert usage.retries <= usage.calls
    labelled = [verdict for verdict in verdicts if verdict.label]
    assert {verdict.label for verdict in labelled} <= {Label.INCORRECT}
    # An answer that comes after the deadline, as on a busy machine, is no label: its call is repeated or has failed.
    answered = server.counts["answer"] * (2 if per_rollout else 1)
    late = 2 * usage.retries + len(verdicts) - len(labelled)
    assert answered - late <= len(labelled) <= answered
    assert all(verdict.cause for verdict in verdicts if verdict.failure)


async def test_nothing_is_left_open(recwarn):
    with judge_endpoint() as server:
        async with judging(server) as judge:
            await judge.ask(CLAIM)
    del judge
    gc.collect()
    assert not [warning for warning in recwarn if "nclosed" in str(warning.message)]

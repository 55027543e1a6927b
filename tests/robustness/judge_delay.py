"""How much longer slow judges make a step, beside what `fgrpo plan` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from integration.recipe_runs import TRAIN_ONLY
from judge_endpoint import Script, answers_of, judge_endpoint

from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.preflight.hidden import Judging

from .bench import Bench
from .outcomes import Outcome

DELAYS_S = (0.0, 0.2, 2.0)
STEPS = 6
"""Of each delay; the first is under way when the delay changes and is not counted."""

BATCH = (
    "data.train_batch_size=16",
    "actor_rollout_ref.actor.ppo_mini_batch_size=16",
    "actor_rollout_ref.rollout.max_num_seqs=80",
    *(f"actor_rollout_ref.{part}_micro_batch_size_per_gpu=80"
      for part in ("actor.ppo", "rollout.log_prob", "ref.log_prob")),
)  # fmt: skip
"""The recipe's own."""

AT_ONCE = 64
NEAR = 0.2
"""Share by which prediction and measurement may differ."""


def judge_delay(bench: Bench) -> Iterator[Outcome]:
    """One run of the whole miniature whose judge gets slower; all rollouts of the CPU's server end at once."""
    run, miniature = bench.forget("judge_delay"), bench.whole_miniature
    script = Script(answer=answers_of(OracleJudge(bench.folder / "miniature/world/scenes.jsonl")))
    with judge_endpoint(script) as server:
        process = bench.runs.start(
            run,
            *miniature,
            *BATCH,
            f"trainer.total_training_steps={STEPS * len(DELAYS_S)}",
            "judge=openai_compatible",
            "judge_endpoint.model=a-model",
            f"judge_endpoint.base_urls=[{server.url}]",
            f"fgrpo.judge_cache.directory={bench.folder / run / 'cache'}",
            *(f"fgrpo.judges.{question}.concurrency={AT_ONCE}" for question in Question),
            script=TRAIN_ONLY,
        )
        for number, delay_s in enumerate(DELAYS_S):
            script.delay_s = delay_s
            bench.runs.wait_for_step(run, (number + 1) * STEPS, process)
        bench.runs.finish(process)
    metrics = bench.runs.metrics(run)
    steps = {
        delay_s: [metrics[step] for step in range(number * STEPS + 2, (number + 1) * STEPS + 1)]
        for number, delay_s in enumerate(DELAYS_S)
    }
    without_s = median(step["timing_s/step"] for step in steps[0.0])
    for delay_s, mine in steps.items():
        calls = median(sum(step[f"fgrpo/judges/{question}/calls"] for question in Question) for step in mine)
        measured_s = median(step["timing_s/step"] for step in mine)
        predicted_s = without_s + Judging(calls, AT_ONCE, delay_s).added_s(rollout_s=without_s, spread=0.0)
        yield Outcome(
            f"answers after {delay_s * 1000:.0f} ms",
            f"{calls:.0f} calls, {AT_ONCE} at once: a step takes {measured_s:.1f} s, predicted {predicted_s:.1f} s",
            good=abs(predicted_s - measured_s) <= NEAR * measured_s,
        )

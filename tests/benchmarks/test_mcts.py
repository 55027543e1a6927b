"""Speed of the search: how well it hides a teacher's latency, against a real server in another process."""

import asyncio
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np

from data_prep.mcts.coordinates import Convention
from data_prep.mcts.questions import question_names
from data_prep.mcts.run import Settings, run
from data_prep.mcts.teacher import TeacherConfig
from data_prep.mcts.tree import SearchSettings
from easyr1_fgrpo.miniature import rows
from easyr1_fgrpo.miniature.render import png, render
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
from easyr1_fgrpo.rows import write_rows

CONCURRENCY, LATENCY_S, QUESTIONS, CALLS = 20, 0.2, 30, 600

SERVER = f"""
    import random, sys
    sys.path.insert(0, {str(Path(__file__).parents[1])!r})
    import threading
    from judge_endpoint import Script, judge_endpoint

    def answer(case):
        draw = random.Random(case.body["seed"])
        x, y = draw.randrange(60), draw.randrange(60)
        if draw.random() < 0.4:
            return f"<think>So it is left.</think><answer>{{draw.choice(['left', 'right'])}}</answer>"
        return f"<think>Something is at <bbox>[{{x}},{{y}},{{x + 20}},{{y + 20}}]</bbox>.</think>"

    with judge_endpoint(Script(answer=answer, delay_s={LATENCY_S})) as server:
        print(server.url, flush=True)
        sys.stdin.read()
"""


def make_rows(path):
    rng = np.random.default_rng(0)
    examples = [draw_example(rng) for _ in range(QUESTIONS)]
    written = [
        rows.question_row(example, png(render(example.scene, rng)), split="train", index=index)
        for index, example in enumerate(examples)
    ]
    write_rows(path, written)


def test_latency_is_hidden_by_concurrency(benchmark, tmp_path):
    make_rows(tmp_path / "rows.parquet")
    names = question_names(tmp_path / "rows.parquet")
    settings = Settings(
        model="m",
        temperature=1.0,
        reply_tokens=64,
        coordinates=Convention.PIXELS,
        min_pixels=3136,
        max_pixels=10**6,
        search=SearchSettings(),
        seed=0,
    )
    rates = []
    command = [sys.executable, "-c", textwrap.dedent(SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            # The budget ends the run while all slots are still taken: the last question's tail is no matter of speed.
            config = TeacherConfig(
                base_urls=[process.stdout.readline().strip()], model="m", concurrency=CONCURRENCY, max_calls=CALLS
            )

            def search():
                out = tmp_path / f"out-{len(rates)}"
                started = time.perf_counter()
                outcome = asyncio.run(run(tmp_path / "rows.parquet", out, names, config, settings))
                rates.append(outcome.calls / (time.perf_counter() - started))
                assert outcome.calls == CALLS

            benchmark.pedantic(search, rounds=3)
        finally:
            process.kill()
    benchmark.extra_info["share_of_the_ideal"] = max(rates) / (CONCURRENCY / LATENCY_S)
    assert max(rates) >= 0.9 * CONCURRENCY / LATENCY_S

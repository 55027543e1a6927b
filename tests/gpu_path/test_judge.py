"""The 7B recipe with its own judge config: a real `vllm serve` on the run's Ray cluster, of a tiny model."""

from __future__ import annotations

import re
import subprocess
import urllib.request

import pytest
from integration.recipe_runs import Runs

from easyr1_fgrpo.traces import read_traces

from .byte_judge import save_judge

pytestmark = pytest.mark.gpu_path

STEPS = 2
SERVER = "fgrpo.reward_servers.qwen3_vl_30b"


def test_verdicts_come_from_the_judge_that_the_run_serves(runs: Runs) -> None:
    model = save_judge(runs.folder / "judge")
    process = runs.start(
        "judged",
        "judge=qwen3_vl_30b",
        f"{SERVER}.model={model}",
        f"{SERVER}.tensor_parallel_size=1",
        f"{SERVER}.num_gpus=0",
        f"{SERVER}.num_cpus=1",
        f"{SERVER}.arguments.enforce-eager=true",  # kernels would be compiled for minutes
        f"fgrpo.judge_cache.directory={runs.folder / 'judge_cache'}",
        f"trainer.total_training_steps={STEPS}",
        "~evaluation",
    )
    url = _url_of_the_judge(process, str(model))
    runs.wait_for_step("judged", 1, process)
    answered = _answered(url)
    output = runs.finish(process)
    assert process.returncode == 0, output[-2000:]

    steps = runs.metrics("judged")
    assert sorted(steps) == list(range(1, STEPS + 1))
    for question in ("consistency", "grounding"):
        for metrics in steps.values():
            judged = {key: metrics[f"fgrpo/judges/{question}/{key}"] for key in ("verdicts", "valid_share")}
            assert judged["verdicts"] > 0
            assert judged["valid_share"] == 1.0
    calls = [
        sum(metrics[f"fgrpo/judges/{question}/calls"] for question in ("consistency", "grounding"))
        for metrics in steps.values()
    ]
    assert 0 < calls[0] <= answered <= sum(calls)

    records, bad = read_traces((runs.folder / "judged/traces").glob("train-*.jsonl"))
    assert bad == 0
    verdicts = [record.consistency for record in records]
    verdicts += [sentence.verdict for record in records for sentence in record.sentences]
    assert {verdict.judge for verdict in verdicts if verdict is not None} == {str(model)}


def _url_of_the_judge(process: subprocess.Popen[str], model: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if found := re.match(rf"judge-qwen3_vl_30b: ready in .* {re.escape(model)} at (http://\S+)/v1,", line):
            return found[1]
    raise AssertionError(seen)


def _answered(url: str) -> float:
    """Requests that the server has answered, as it counts them itself."""
    page = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/metrics", timeout=60).read()
    counts = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", page.decode(), re.MULTILINE)
    return sum(map(float, counts))

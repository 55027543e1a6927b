import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from PIL import Image

from easyr1_fgrpo.config.judges import EmbeddedServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question, Usage, Verdict
from easyr1_fgrpo.judges.served import ServedJudge, actor_name
from reward_servers.cluster import find, running
from reward_servers.launch import launch
from reward_servers.stop import stop

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
CLASS = "scripted_judge:ScriptedJudge"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A private Ray cluster whose working directory holds the judge's file; gives its address."""
    directory = tmp_path_factory.mktemp("cluster")
    (directory / "scenes.txt").write_text("hello")
    (directory / "scripted_judge.py").write_text((HERE / "scripted_judge.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.chdir(directory)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture
def server(cluster):
    """A healthy judge server, and the judge that asks it."""
    run = settings("run")
    assert launch(run) == []
    yield ServedJudge("scripted", run.namespace)
    stop(run)


def settings(run: str, name: str = "scripted", **server) -> FgrpoConfig:
    config = {"kind": "embedded", "target": CLASS, "options": {"scenes": "scenes.txt"}, "num_cpus": 0.5} | server
    return FgrpoConfig(
        run_dir=f"runs/{run}",
        constraint_keys=[],
        constraints={},
        judges={},
        reward_servers={name: EmbeddedServerConfig(**config)},
    )


def claim(text: str) -> JudgeRequest:
    return JudgeRequest(Question.GROUNDING, question="?", images=(Image.new("RGB", (8, 8)),), claim=text)


async def ask(judge: ServedJudge, text: str) -> Verdict:
    async with asyncio.timeout(240):
        return await judge.ask(claim(text))


async def test_a_server_answers_with_its_judge(server):
    # "hello" comes from a relative path in the options, read where the launch was made.
    verdict = await ask(server, "x")
    assert replace(verdict, usage=Usage()) == Verdict(Label.CORRECT, judge="scripted", text="hello")


async def test_the_questions_of_a_rollout_are_answered_each_in_its_place(server):
    claims = [replace(claim(text), limit_s=20.0) for text in ("x", "raise", "sleep", "nonsense", "x")]
    async with asyncio.timeout(240):
        verdicts = await server.ask_all(claims)
    right, failure = (Label.CORRECT, None), [(None, failure) for failure in (Failure.UNREACHABLE, Failure.DEADLINE)]
    found = [(verdict.label, verdict.failure) for verdict in verdicts]
    assert found == [right, failure[0], failure[1], failure[0], right]


async def test_a_server_stays_light(server):
    assert (await ask(server, "modules?")).text == ""


async def test_a_server_answers_from_a_ray_worker(server):
    @ray.remote(num_cpus=0.1)
    class Worker:
        async def ask(self, judge: ServedJudge, request: JudgeRequest) -> Verdict:
            return await judge.ask(request)

    fresh = ServedJudge(server.name, server.namespace)
    worker = Worker.remote()
    verdict = await asyncio.wait_for(worker.ask.remote(fresh, claim("x")), 240)
    ray.kill(worker)
    assert verdict.text == "hello"


async def test_many_questions_at_once_are_all_answered_while_health_answers_too(server):
    sleepers = [asyncio.create_task(ask(server, "sleep")) for _ in range(20)]
    verdicts = await asyncio.gather(*(ask(server, "x") for _ in range(100)))
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}
    assert await asyncio.wait_for(find("scripted", server.namespace).health.remote(), 240) > 0
    for sleeper in sleepers:
        sleeper.cancel()


async def test_a_judge_that_raises_gives_a_verdict_without_label_and_lives_on(server):
    verdict = await ask(server, "raise")
    assert verdict.label is None
    assert "RuntimeError: cannot read this" in verdict.cause
    assert (await ask(server, "x")).label is Label.CORRECT


async def test_an_answer_that_is_no_verdict_gives_a_verdict_without_label(server):
    verdict = await ask(server, "nonsense")
    assert verdict.label is None
    assert "int" in verdict.cause


async def test_a_killed_server_comes_back_and_answers(server):
    before = int((await ask(server, "pid?")).text)
    under_way = [asyncio.create_task(ask(server, "x")) for _ in range(20)]
    os.kill(before, signal.SIGKILL)
    during = await asyncio.gather(*under_way, *(ask(server, "x") for _ in range(20)))
    # Either answered before or after the restart, or an honest failure; never an exception, never another label.
    assert all(v.label is Label.CORRECT or v.failure is Failure.UNREACHABLE for v in during)
    after = await ask(server, "pid?")
    assert after.label is Label.CORRECT
    assert int(after.text) != before


async def test_a_question_that_kills_the_server_is_given_up_and_the_next_one_answered(server):
    verdict = await ask(server, "die")
    assert verdict.failure is Failure.UNREACHABLE
    assert "\n" not in verdict.cause
    assert (await ask(server, "x")).label is Label.CORRECT


async def test_a_cancelled_question_passes_the_cancellation_on_and_frees_the_server(server):
    task = asyncio.create_task(server.ask(claim("sleep")))
    await ask(server, "x")  # by now the sleeper, sent before, is under way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(240):
        while (await ask(server, "cancelled?")).text != "1":
            await asyncio.sleep(0.05)


async def test_a_stopped_server_is_unreachable_and_a_new_one_is_found(server):
    assert (await ask(server, "x")).label is Label.CORRECT
    run = settings("run")
    assert stop(run) == []
    first, second = await ask(server, "x"), await ask(server, "x")
    assert first.failure is second.failure is Failure.UNREACHABLE
    assert "not launched, or was stopped" in second.cause
    assert launch(run) == []
    assert (await ask(server, "x")).label is Label.CORRECT


async def test_a_launch_replaces_the_server_of_the_same_name_with_the_new_options(server, tmp_path):
    before = (await ask(server, "pid?")).text
    (tmp_path / "other.txt").write_text("other")
    assert launch(settings("run", options={"scenes": str(tmp_path / "other.txt")})) == []
    assert running(server.namespace) == ["scripted"]
    await ask(server, "x")  # the replaced one
    assert (await ask(server, "x")).text == "other"
    assert (await ask(server, "pid?")).text != before


def test_stop_ends_this_runs_servers_only(server):
    assert launch(settings("another-run")) == []

    @ray.remote(num_cpus=0)
    class Bystander:
        def alive(self) -> bool:
            return True

    stranger = Bystander.options(name="bystander", namespace=server.namespace).remote()
    stop(settings("run"))
    assert running(server.namespace) == []
    assert running("fgrpo-another-run") == ["scripted"]
    assert ray.get(stranger.alive.remote(), timeout=240) is True
    ray.kill(stranger)
    stop(settings("another-run"))


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        ({"target": "no_such_module:Judge"}, "judge target 'no_such_module:Judge' cannot be imported"),
        ({"options": {"scenes": "absent.txt"}}, "No such file or directory: 'absent.txt'"),
        ({"options": {"picture": 1}}, "missing a required argument: 'scenes'"),
        ({"num_cpus": 99.0, "start_deadline_s": 1.0}, "it needs num_cpus=99 and the cluster has"),
    ],
)
def test_a_launch_names_what_failed_and_leaves_nothing_behind(cluster, server, cause):
    run = settings("failing", **server)
    (line,) = launch(run)
    assert line.startswith(f"{actor_name('scripted')}: ")
    assert cause in line
    assert "\n" not in line
    assert running(run.namespace) == []


def command(what: str, address: str | None, directory: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    if address is not None:
        environment["RAY_ADDRESS"] = address
    return subprocess.run(
        [sys.executable, "-m", "easyr1_fgrpo", "judge", what, *overrides],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_the_commands_launch_and_stop_what_the_training_config_asks_for(cluster):
    overrides = (f"fgrpo.reward_servers.oracle.target={CLASS}", "fgrpo.run_dir=runs/by-command")
    scenes = "fgrpo.reward_servers.oracle.options.scenes=scenes.txt"
    launched = command("serve", cluster, Path.cwd(), *overrides, scenes)
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.startswith("judge-oracle: ready in namespace fgrpo-by-command")
    assert launched.stdout.count("\n") == 1
    # The command has ended and its server has not: it is another process's to ask.
    verdict = asyncio.run(ask(ServedJudge("oracle", "fgrpo-by-command"), "x"))
    assert verdict.text == "hello"
    pid = int(asyncio.run(ask(ServedJudge("oracle", "fgrpo-by-command"), "pid?")).text)
    os.kill(pid, signal.SIGKILL)
    assert asyncio.run(ask(ServedJudge("oracle", "fgrpo-by-command"), "x")).text == "hello"
    stopped = command("stop", cluster, Path.cwd(), *overrides)
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == "judge-oracle: ended in namespace fgrpo-by-command\n"
    assert running("fgrpo-by-command") == []


@pytest.mark.parametrize("address", [None, "local", "127.0.0.1:1", "nonsense"])
def test_without_a_cluster_the_command_says_so_and_starts_none(tmp_path, address):
    done = command("serve", address, tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "RAY_ADDRESS" in line

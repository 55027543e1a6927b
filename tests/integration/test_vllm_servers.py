import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import ray
from ray.util import placement_group, placement_group_table, remove_placement_group

from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.served import server_urls
from reward_servers.cluster import find, running
from reward_servers.launch import launch
from reward_servers.stop import stop
from reward_servers.vllm_server import VllmServerActor

pytestmark = pytest.mark.integration

FAKE = [sys.executable, str(Path(__file__).parent / "fake_vllm.py")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A private Ray cluster with GPUs on paper; gives its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.chdir(tmp_path_factory.mktemp("cluster"))
        ray.init(address="local", num_cpus=3, num_gpus=3, include_dashboard=False, log_to_driver=False)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture
def run(cluster):
    """Settings of a run with one vLLM server, ended after the test."""
    asked = settings("run")
    yield asked
    stop(asked)


def settings(run: str, arguments: dict[str, str | float] | None = None, **server) -> FgrpoConfig:
    config = {"kind": "vllm", "model": "tiny/judge", "command": FAKE, "num_cpus": 1.0, "start_deadline_s": 300.0}
    served = VllmServerConfig(**(config | server), arguments=arguments or {})
    return FgrpoConfig(
        run_dir=f"runs/{run}", constraint_keys=[], constraints={}, judges={}, reward_servers={"vlm": served}
    )


def url_of(run: FgrpoConfig) -> str:
    (url,) = asyncio.run(server_urls("vlm", run.namespace))
    return url


def about(url: str) -> dict:
    return json.loads(fetched(url.removesuffix("v1") + "about"))


def fetched(url: str, body: dict | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with closing(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=400)) as answer:
        return answer.read()


def health_of(run: FgrpoConfig):
    return ray.get(find("vlm", run.namespace).health.remote(), timeout=400)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def children_of_this_run() -> list[str]:
    """Command lines of the stand-ins that run; one test at a time uses them."""
    commands = (path.read_bytes().split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return [b" ".join(command).decode() for command in commands if FAKE[1].encode() in command]


def until(condition, seconds: float = 240.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return result


def reservations() -> list[str]:
    return [entry["name"] for entry in placement_group_table().values() if entry["state"] != "REMOVED"]


def test_a_launched_model_answers_at_its_url_on_gpus_of_its_own_and_stop_gives_all_back(run, capfd):
    before = ray.available_resources()
    assert launch(run) == []
    url = url_of(run)
    printed = capfd.readouterr()
    assert printed.out == (
        f"judge-vlm: ready in namespace fgrpo-run, tiny/judge at {url}, pid {health_of(run).pid}, "
        "log in runs/run/judges/vlm.log\n"
    )
    news = ("judge-vlm: starting;", "judge-vlm: loading ")  # on a busy machine only
    assert all(line.startswith(news) for line in printed.err.splitlines()), printed.err

    answer = json.loads(fetched(f"{url}/chat/completions", {"model": "tiny/judge", "messages": []}))
    assert answer["choices"][0]["message"]["content"] == "YES"

    facts = about(url)
    assert facts["env"]["CUDA_VISIBLE_DEVICES"] in {"0", "1", "2"}
    assert not [key for key in facts["env"] if key.startswith("RAY_")]
    # Taken for good, not only while the actor lives: a trainer's placement finds two GPUs.
    assert ray.available_resources()["GPU"] == before["GPU"] - 1
    assert reservations() == ["fgrpo-run/judge-vlm"]

    assert stop(run) == []
    assert capfd.readouterr().out == "judge-vlm: ended in namespace fgrpo-run\n"
    assert not alive(facts["pid"])
    assert not alive(facts["worker"])
    assert running(run.namespace) == reservations() == []
    until(lambda: ray.available_resources().get("GPU") == before["GPU"])
    with pytest.raises(LookupError, match=r"'judge-vlm' in namespace 'fgrpo-run': no such server"):
        url_of(run)


def test_a_killed_vllm_comes_back_at_the_same_url(run):
    launch(run)
    url, before = url_of(run), about(url_of(run))
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: health_of(run).healthy and health_of(run).restarts == 1)
    assert url_of(run) == url
    assert about(url)["pid"] != before["pid"]
    assert not alive(before["worker"])


def test_a_killed_actor_takes_vllm_with_it_and_both_come_back_on_the_same_gpu(run):
    launch(run)
    url, before = url_of(run), about(url_of(run))
    guard = health_of(run).pid
    thief = placement_group([{"GPU": 3.0}])  # waits for the moment in which the killed actor gives its GPU back
    os.kill(parent_of(guard), signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in (guard, before["pid"], before["worker"])))

    def back():
        try:
            return health_of(run).healthy
        except ray.exceptions.RayError:
            return False

    until(back)
    assert url_of(run) == url
    after = about(url)
    assert after["pid"] != before["pid"]
    assert after["env"]["CUDA_VISIBLE_DEVICES"] == before["env"]["CUDA_VISIBLE_DEVICES"]
    assert not thief.wait(0.5)
    remove_placement_group(thief)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    ("server", "cause", "last"),
    [
        (
            {"arguments": {"dies-with": "out of memory"}},
            "ended with exit code 1 before it was healthy; the last lines of ",
            "    INFO loading tiny/judge\n    RuntimeError: out of memory",
        ),
        (
            {"arguments": {"ready-after": 600.0}, "start_deadline_s": 30.0},
            "not healthy within start_deadline_s=30; the last lines of ",
            "    INFO loading tiny/judge",
        ),
        (
            {"command": ["no-such-vllm", "serve"]},
            "ended with exit code 127 before it was healthy; the last lines of ",
            "    cannot start 'no-such-vllm': No such file or directory",
        ),
        (
            {"tensor_parallel_size": 99, "start_deadline_s": 1.0},
            "not healthy within start_deadline_s=1; it needs num_cpus=1, num_gpus=99 and the cluster has ",
            "num_gpus=3 free",
        ),
        ({"num_cpus": 0.0, "num_gpus": 0.0}, "num_cpus=0 and num_gpus=0 reserve nothing", "give num_cpus at least"),
    ],
)
def test_a_launch_that_fails_says_why_and_leaves_nothing(cluster, server, cause, last):
    run = settings("failing", **server)
    (message,) = launch(run)
    assert message.startswith(f"judge-vlm: {cause}")
    assert message.endswith(last)
    assert running(run.namespace) == reservations() == children_of_this_run() == []


def test_a_launch_that_is_broken_off_leaves_nothing(cluster, capfd):
    run = settings("broken-off", {"ready-after": 600.0})
    loading = "judge-vlm: loading tiny/judge, log in runs/broken-off/judges/vlm.log ("
    command = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, run.model_dump_json()],
        env=os.environ | {"RAY_ADDRESS": cluster},
        stderr=subprocess.PIPE,
        text=True,
    )
    with command:
        # The only news, every five seconds: what the launch waits for. On a busy machine that is the actor at first.
        until(lambda: command.stderr.readline().startswith(loading))
        assert reservations() == ["fgrpo-broken-off/judge-vlm"]
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=240) != 0
    assert running(run.namespace) == reservations() == children_of_this_run() == []


LAUNCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background, where SIGINT is ignored
from easyr1_fgrpo.config.schema import FgrpoConfig
from reward_servers.cluster import joined
from reward_servers.launch import launch
with joined():
    launch(FgrpoConfig.model_validate_json(sys.argv[1]))
"""


def test_the_commands_launch_and_stop_the_servers_of_a_judge_group(cluster):
    overrides = (
        "judge=qwen3_vl_30b",
        "fgrpo.run_dir=runs/by-command",
        f"fgrpo.reward_servers.qwen3_vl_30b.command={json.dumps(FAKE)}",
        "fgrpo.reward_servers.qwen3_vl_30b.num_cpus=1",
        "~fgrpo.reward_servers.qwen3_vl_30b.arguments",
    )
    environment = os.environ | {"RAY_ADDRESS": cluster}

    def command(what: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "easyr1_fgrpo", "judge", what, *overrides]
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=400)

    launched = command("serve")
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.startswith("judge-qwen3_vl_30b: ready in namespace fgrpo-by-command, Qwen/Qwen3-VL-30B-A3B")
    (url,) = asyncio.run(server_urls("qwen3_vl_30b", "fgrpo-by-command"))
    assert url in launched.stdout
    stopped = command("stop")
    assert stopped.stdout == "judge-qwen3_vl_30b: ended in namespace fgrpo-by-command\n", stopped.stderr
    assert running("fgrpo-by-command") == reservations() == []


def test_without_servers_nothing_is_launched(cluster, capfd):
    asked = settings("external").model_copy(update={"reward_servers": {}})
    assert launch(asked) == []
    assert capfd.readouterr().out == "no judge server to launch: the config names none\n"
    assert running(asked.namespace) == reservations() == []


async def test_urls_of_a_server_that_is_still_loading_are_refused(run, tmp_path):
    loading = settings("run", {"ready-after": 600.0}).reward_servers["vlm"]
    published = VllmServerActor.options(name="judge-vlm", namespace=run.namespace, num_cpus=0)
    actor = published.remote(loading, 0, str(tmp_path / "log"), str(tmp_path))
    with pytest.raises(LookupError, match="its model is not loaded yet"):
        await server_urls("vlm", run.namespace)
    del actor

"""GPUs of policy and judges together, counted by hand, against machines and clusters of several sizes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.preflight.counts import Assumptions
from easyr1_fgrpo.verl_plugin.preflight import gpus
from easyr1_fgrpo.verl_plugin.preflight import machine as checks
from easyr1_fgrpo.verl_plugin.preflight.gpus import Offered, Wanted, fits, gpus_here, machines, too_few
from easyr1_fgrpo.verl_plugin.preflight.plan import plan
from easyr1_fgrpo.verl_plugin.run import stages

ROOT = Path(__file__).parents[4]
SEVEN_B = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b"]
BY_HAND = {
    "gpus_4": "4 + 2 = 6, on 1 machine of 8",
    "gpus_8": "8 + 2 = 10, on 2 machines of 8",
    "nodes_2": "8 + 8 + 2 = 18, on 3 machines of 8",
}
"""Scale -> GPUs of the policy and of the judge, which vLLM splits over 2."""


def planned(capsys, *overrides):
    code = plan(overrides, files=False, assumed=Assumptions())
    out = capsys.readouterr()
    return code, " ".join(out.out.replace("│", " ").split()), out.err


def test_headers_and_scales_say_what_the_sums_are(recipes):
    for recipe, groups in recipes.items():
        scale = groups[-1].partition("=")[2]
        if scale in BY_HAND:
            first = " ".join((ROOT / "recipes" / recipe).read_text().splitlines()[1:4])
            policy_and_judge, _, count = BY_HAND[scale].partition(" = ")
            where = {"1": "one machine", "2": "two machines"}[count.split()[2]]
            assert f"{policy_and_judge} GPUs of 80 GB on {where}" in first.replace(" # ", " ")


def test_eight_and_two_on_a_machine_of_eight_is_refused_before_any_stage(machine, capsys, monkeypatch):
    machine(8)
    started = []
    monkeypatch.setattr(stages, "run_stage", lambda *command: started.append(command))
    monkeypatch.setattr(checks, "cpu_build", lambda: None)
    assert stages.main([*SEVEN_B, "scale=gpus_8"]) == 1
    assert started == []
    line = (
        "error: trainer.n_gpus_per_node=8: the policy takes 8 GPUs, the judges 2, together 10, and there are 8 of this "
        "machine; scale=gpus_4 fits, or judge=openai_compatible, served elsewhere, takes none, or add nodes "
        "(recipes/ray/README.md)"
    )
    assert line in capsys.readouterr().err
    code, out, err = planned(capsys, *SEVEN_B, "scale=gpus_8")
    assert code == 1
    assert line in err
    assert "GPUs together 8 + 2 = 10; there are 8 of this machine" in out
    assert "trainer.n_gpus_per_node" not in planned(capsys, *SEVEN_B, "scale=gpus_4")[2]


def test_a_judge_behind_a_url_takes_no_gpu(machine, capsys):
    machine(8)
    judge = ["judge=openai_compatible", "judge_endpoint.model=m", "judge_endpoint.base_urls=[http://host/v1]"]
    _, out, err = planned(capsys, *SEVEN_B[:2], *judge, "scale=gpus_8")
    assert "GPUs together 8; there are 8 of this machine" in out
    assert "trainer.n_gpus_per_node" not in err


@pytest.mark.parametrize("scale", ["gpus_4", "gpus_8", "nodes_2"])
def test_batches_divide_at_every_scale(scale):
    config = load_config([*SEVEN_B, f"scale={scale}"])
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    assert config.data.train_batch_size * rollout.n == 640
    assert actor.ppo_mini_batch_size == 64
    assert (640 % ranks, 64 * rollout.n % ranks, ranks % rollout.tensor_model_parallel_size) == (0, 0, 0)


def test_the_judge_may_have_the_other_half_of_a_machine():
    overrides = [*SEVEN_B, "scale=gpus_4", "fgrpo.reward_servers.qwen3_vl_30b.tensor_parallel_size=4"]
    config = load_config(overrides)
    wanted = gpus.wanted_by(config, read_settings(config))
    assert (str(wanted), machines(wanted)) == ("4 + 4 = 8", 1)


def test_a_block_lies_on_one_node():
    assert fits([8, 2], [8, 2])
    assert fits([2, 8], [8, 8])
    assert not fits([8, 2], [8, 1, 1])
    assert not fits([8, 2], [6, 6])
    assert fits([4, 2, 1, 1], [8])
    assert fits([3, 3, 2], [4, 4]) is False
    assert fits([0.5, 0.5, 7], [8])
    assert fits([], [])
    # First-fit would put the 3 onto the 6 and leave no room for 4 + 2.
    assert fits([4, 3, 2], [6, 3])


def test_a_large_cluster_is_counted_at_once():
    policy = (8,) * 64
    assert machines(Wanted(policy, (8,) * 5 + (2,))) == 70
    assert str(Wanted(policy, (2,))) == "64 x 8 + 2 = 514"
    assert machines(Wanted((5,) * 64, ())) == 64
    assert not fits((5,) * 64, [8] * 63)
    assert fits([*policy, 2, 2], [8] * 64 + [4])
    assert not fits([*policy, 3, 3], [8] * 64 + [4, 2])


def test_machines_are_larger_where_a_block_is():
    assert machines(Wanted((8,), ())) == 1
    assert machines(Wanted((16,), (2,))) == 2
    assert machines(Wanted((4, 4), (2, 2))) == 2


def test_what_is_lacking_names_every_node():
    found = Offered((6, 6), "the Ray cluster at head:6379")
    said = too_few(Wanted((8,), (2,)), found)
    assert "together 10, and there are 6 + 6 of the Ray cluster at head:6379; scale=gpus_4 fits, or add nodes" in said
    assert too_few(Wanted((6,), (2, 1)), found) is None
    # A hosted judge has neither GPUs nor a machine, and on 2 GPUs no scale of ours has room.
    assert too_few(Wanted((4,), ()), Offered((2,), "this machine")).endswith("; add nodes (recipes/ray/README.md)")


def test_the_driver_is_asked_and_visible_devices_count_as_cuda_counts_them(machine, monkeypatch):
    assert gpus_here() == 0
    machine(8)
    assert gpus_here() == 8
    numbers = (
        ("0,1,2,3", 4),
        ("", 0),
        ("0", 1),
        ("-1", 0),
        ("0,1,-1,2", 2),
        ("0,9,1", 1),
        ("NoDevFiles", 0),
        ("1,1", 0),
    )
    uuids = (
        ("GPU-3,GPU-5", 2),
        ("GPU-9", 0),
        ("GPU-", 0),
        ("GPU-3,GPU-9,GPU-5", 1),
        ("MIG-3", 0),
        ("MIG-0a,MIG-0b", 1),
    )
    for visible, count in (*numbers, *uuids):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpus.visible([f"GPU-{number}" for number in range(8)], ["MIG-0a", "MIG-0b"]) == count, visible
        assert gpus_here() == (0 if visible.startswith("MIG") else count), visible


def test_without_a_gpu_and_a_cluster_nothing_starts(machine, monkeypatch, capsys):
    assert stages.main([*SEVEN_B, "scale=gpus_8"]) == 1
    assert "nvidia-smi lists no GPU on this machine, and RAY_ADDRESS names no Ray cluster" in capsys.readouterr().err
    machine(8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    config = load_config([*SEVEN_B, "scale=gpus_8"])
    said = checks.machine_problems(config, read_settings(config))[0]
    assert "no GPU on this machine that CUDA_VISIBLE_DEVICES=-1 leaves, and RAY_ADDRESS" in said


@pytest.mark.integration
def test_the_cluster_is_asked_where_there_is_one():
    """A Ray of eight logical GPUs: 4 + 2 fit, 8 + 2 do not."""
    plans = (
        "import sys; from easyr1_fgrpo.preflight.counts import Assumptions\n"
        "from easyr1_fgrpo.verl_plugin.preflight.plan import plan\n"
        "for scale in 'gpus_4', 'gpus_8': plan([*sys.argv[1:], f'scale={scale}'], files=False, assumed=Assumptions())\n"
    )
    program = (
        "import os, ray, subprocess, sys\n"
        "context = ray.init('local', num_cpus=1, num_gpus=8, _node_ip_address='127.0.0.1', include_dashboard=False)\n"
        "os.environ['RAY_ADDRESS'] = context.address_info['gcs_address']\n"
        "subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True, stderr=subprocess.STDOUT)\n"
    )
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    done = subprocess.run(
        [sys.executable, "-c", program, plans, *SEVEN_B],
        env={**os.environ, **token, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    assert "4 + 2 = 6; there are 8 of the Ray cluster at " in done.stdout
    assert "8 + 2 = 10; there are 8 of the Ray cluster at " in done.stdout
    assert done.stdout.count("error: trainer.n_gpus_per_node=8: ") == 1
    assert "error: trainer.n_gpus_per_node=4: " not in done.stdout

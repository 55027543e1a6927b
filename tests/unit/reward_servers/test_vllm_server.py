import pytest

from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.judges.served import server_urls
from reward_servers.vllm_server import command_line, environment, reservation


def config(**fields) -> VllmServerConfig:
    return VllmServerConfig(kind="vllm", model="some/model", **fields)


def test_the_command_line_is_vllms():
    served = config(tensor_parallel_size=2, gpu_memory_utilization=0.85)
    assert command_line(served, "10.0.0.1", 8123) == [
        *("vllm", "serve", "some/model", "--host", "10.0.0.1", "--port", "8123", "--served-model-name", "some/model"),
        *("--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.85"),
    ]


def test_further_arguments_follow_and_true_is_a_bare_key():
    arguments = {"max-model-len": 4096, "enforce-eager": True, "trust-remote-code": False, "limit": '{"image": 2}'}
    line = command_line(config(command=["python", "-m", "x"], arguments=arguments), "h", 1)
    assert line[:4] == ["python", "-m", "x", "some/model"]
    assert line[-5:] == ["--max-model-len", "4096", "--enforce-eager", "--limit", '{"image": 2}']


def test_the_environment_keeps_the_gpus_ray_gave_and_nothing_that_leads_to_ray():
    inherited = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "3", "RAY_AUTH_TOKEN": "secret", "RAY_JOB_ID": "1"}
    assert environment(config(env={"VLLM_LOGGING_LEVEL": "INFO", "PATH": "/opt"}), inherited) == {
        "PATH": "/opt",
        "CUDA_VISIBLE_DEVICES": "3",
        "VLLM_LOGGING_LEVEL": "INFO",
    }


def test_a_reservation_holds_what_the_config_asks_for():
    for fields, resources in [
        ({"tensor_parallel_size": 2}, {"CPU": 4.0, "GPU": 2.0}),
        ({"tensor_parallel_size": 1, "num_gpus": 0.5}, {"CPU": 4.0, "GPU": 0.5}),
        ({"num_gpus": 0.0, "num_cpus": 1.0}, {"CPU": 1.0}),
        ({"num_gpus": 0.0, "num_cpus": 0.0}, {}),
    ]:
        assert reservation(config(**fields)) == resources, fields


async def test_without_ray_the_urls_of_a_server_cannot_be_looked_up():
    with pytest.raises(LookupError) as refused:
        await server_urls("vlm", "fgrpo-run")
    assert str(refused.value) == (
        "judge server 'judge-vlm' in namespace 'fgrpo-run': this process is not connected to Ray"
    )

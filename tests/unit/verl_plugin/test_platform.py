import pytest
import torch
from verl.plugin.platform import get_platform
from verl.plugin.platform.platform_base import PlatformBase

from easyr1_fgrpo.verl_plugin.cpu.platform import PlatformCPU

ANSWERS = {
    "device_name": "cpu",
    "vendor_name": "cpu",
    "is_available": True,
    "current_device": torch.device("cpu"),
    "device_count": 1,
    "set_device": None,
    "synchronize": None,
    "manual_seed": None,
    "manual_seed_all": None,
    "set_allocator_settings": None,
    "empty_cache": None,
    "get_device_capability": (None, None),
    "communication_backend_name": "gloo",
    "visible_devices_envvar": "CUDA_VISIBLE_DEVICES",
    "profiler_start": None,
    "profiler_stop": None,
    "ray_resource_name": "GPU",
    "ray_noset_envvars": [],
    "is_ipc_supported": False,
    "cudart": None,
}
ARGUMENTS = {"set_device": (0,), "manual_seed": (0,), "manual_seed_all": (0,), "set_allocator_settings": ("x",)}


@pytest.fixture(scope="module")
def platform():
    return PlatformCPU()


@pytest.fixture(scope="module")
def device(platform):
    return platform.device_module


def test_verl_runs_on_it():
    assert isinstance(get_platform(), PlatformCPU)


def test_nothing_of_verls_interface_is_left_out():
    assert set(ANSWERS) == PlatformBase.__abstractmethods__ - {"device_module", "nvtx_range"}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(platform, name):
    answer = getattr(platform, name)
    assert (answer(*ARGUMENTS.get(name, ())) if callable(answer) else answer) == ANSWERS[name]


def test_never_found_by_itself(platform):
    assert platform.is_platform_available() is False
    assert platform.is_platform_available(use_smi_check=True) is False


def test_ray_places_workers_on_logical_gpus(platform):
    assert platform.ray_resource_options(2) == {"num_gpus": 2}


def test_a_range_runs_its_block(platform):
    ran = []
    with platform.nvtx_range("step"):
        ran.append(True)
    assert ran


@pytest.mark.parametrize("where", ["platform", "device"])
@pytest.mark.parametrize("name", ["manual_seed", "manual_seed_all"])
def test_seeding_repeats_the_draw(request, where, name):
    seed = getattr(request.getfixturevalue(where), name)
    state = torch.get_rng_state()
    try:
        draws = [(seed(3), torch.rand(2).tolist())[1] for _ in range(2)]
    finally:
        torch.set_rng_state(state)
    assert draws[0] == draws[1]


def test_the_random_state_goes_round(device):
    state = device.get_rng_state()
    first = torch.rand(3)
    device.set_rng_state(state)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize("name", ["memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved"])
def test_memory_is_that_of_the_process(device, name):
    assert 2**20 < getattr(device, name)() < device.mem_get_info()[1]


def test_free_memory_is_part_of_all_memory(device):
    free, total = device.mem_get_info()
    assert 0 < free <= total


def test_the_rest_is_torch_cpu(device):
    assert device.get_device_name() == "cpu"
    assert device.is_available() is True
    assert device.empty_cache() is None
    assert device.current_stream is torch.cpu.current_stream
    with pytest.raises(AttributeError):
        _ = device.cudnn_version

import pytest

from .runs import write_benchmarks, write_run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Finished runs of two arms, one of them with two seeds, and a folder of `fgrpo evaluate`. Only read them."""
    folder = tmp_path_factory.mktemp("runs")
    for name, arm, seed in (("fgrpo-s0", "fgrpo", 0), ("grpo_t-s0", "grpo_t", 0), ("grpo_t-s1", "grpo_t", 1)):
        write_run(folder / name, arm=arm, seed=seed, steps=24)
    write_benchmarks(folder / "benchmarks", {"warm": "warm", "faithful": "fgrpo"})
    return folder

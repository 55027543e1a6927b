"""How long a command takes to say something: processor time, for imports are most of it."""

import resource
import subprocess
import sys

import pytest

COMMANDS = {
    "`fgrpo --help`": (["--help"], 0, 0.7, "1.8 s (`7b66859`)"),
    "a usage error": (["trian"], 2, 0.7, "1.7 s (`7b66859`)"),
}
ROUNDS = 5


def processor_s(command, code):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert subprocess.run(command, capture_output=True, check=False).returncode == code
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_answers_at_once(benchmark, row, name):
    words, code, most_s, before = COMMANDS[name]
    command = [sys.executable, "-m", "easyr1_fgrpo", *words]
    least = benchmark.pedantic(lambda: min(processor_s(command, code) for _ in range(ROUNDS)), rounds=1)
    bound = min(processor_s([sys.executable, "-c", "import typer"], 0) for _ in range(ROUNDS))
    row(name, f"{least:.2f} s of a core", before=before, bound=f"{bound:.2f} s: `import typer`")
    assert least < most_s

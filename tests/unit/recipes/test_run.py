"""What a recipe's command says when the recipe is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
RECIPE = """
set -euo pipefail
source recipes/setup/run.sh
trap 'echo "Ray is ended"' EXIT
attended {python} -c '{command}'
echo "not reached"
"""
COMMAND = """
import sys, time
from easyr1_fgrpo.stopping import stop_code, stoppable
with stoppable():
    try:
        print("training", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        time.sleep(0.5)  # whoever waits has to wait for this, too
        print("stopped: the same command resumes", flush=True)
        sys.exit(stop_code())
"""


def test_a_stopped_recipe_waits_for_its_commands_last_line_and_gives_its_exit_code():
    program = RECIPE.format(python=sys.executable, command=COMMAND)
    for number, kill in ((signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)):
        recipe = subprocess.Popen(
            ["bash", "-c", program],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        assert recipe.stdout.readline() == "training\n"
        kill(recipe.pid, number)  # Ctrl-C reaches the whole group, a scheduler's SIGTERM the script alone
        output, _ = recipe.communicate(timeout=60)
        assert "stopped: the same command resumes\n" in output
        assert output.endswith("Ray is ended\n")
        assert "not reached" not in output
        assert recipe.returncode == 128 + number


def test_a_recipes_command_that_ends_gives_its_exit_code():
    for code in (0, 3):
        done = subprocess.run(
            ["bash", "-c", f"source recipes/setup/run.sh; attended bash -c 'exit {code}'"], cwd=ROOT, check=False
        )
        assert done.returncode == code

"""The command `fgrpo` reaches every room."""

import pytest
from typer.testing import CliRunner

from easyr1_fgrpo.cli import app

COMMANDS = ("doctor", "plan", "data", "judge", "evaluate", "audit", "compare", "report", "figures")


def test_these_are_the_commands():
    listed = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert listed | {group.name for group in app.registered_groups} == set(COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "data"])
def test_a_command_explains_itself(command):
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_a_report_of_a_run_that_is_not_there_names_it(tmp_path):
    done = CliRunner().invoke(app, ["report", str(tmp_path / "absent"), "-o", str(tmp_path / "report.html")])
    assert done.exit_code != 0
    assert "absent" in done.output

"""Every `fgrpo ...` that a page, a script or a message of the code names exists, with the options it is given."""

import re
import shlex
import subprocess

from typer.main import get_command

from easyr1_fgrpo.cli import app

from .pages import ROOT

NAMED = re.compile(r"(?:^|[\s`'\"(])(?:\.venv/bin/)?fgrpo ([a-z_]+\b(?![=.]\w)[^`\n\"']*)", re.MULTILINE)
WORDS = re.compile(r"[a-z][a-z_0-9]*")


def texts():
    """Pages, scripts and sources, backslashed lines joined."""
    listed = ["git", "ls-files", "*.md", "*.sh", "easyr1_fgrpo/*.py", "data_prep/*.py", "reward_servers/*.py"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        yield name, (ROOT / name).read_text().replace("\\\n", " ")


def problems(text):
    """What of the commands in a text does not exist; prose that merely begins with the word is left alone."""
    commands = get_command(app).commands
    for found in NAMED.finditer(text):
        first, *rest = (word.rstrip(",.:;)") for word in found.group(1).split())
        if first not in commands:
            yield f"fgrpo {first}"
            continue
        command = commands[first]
        if hasattr(command, "commands"):
            if not rest or not WORDS.fullmatch(rest[0]):
                continue
            if rest[0] not in command.commands:
                yield f"fgrpo {first} {rest[0]}"
                continue
            command = command.commands[rest[0]]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", found.group(1).partition("&&")[0].partition("#")[0]):
            if option not in known | {"--help"}:
                yield f"fgrpo {first} {option}"


def test_every_command_that_is_named_exists():
    wrong = {(name, problem) for name, text in texts() for problem in problems(text)}
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in sorted(wrong))


def test_a_wrong_command_is_found():
    assert list(problems("run `fgrpo tabulate`")) == ["fgrpo tabulate"]
    assert list(problems("fgrpo judge ask x")) == ["fgrpo judge ask"]
    assert list(problems("fgrpo plan --fast")) == ["fgrpo plan --fast"]
    assert list(problems("fgrpo plan --no-files a=b && vllm serve --port 1")) == []


def test_old_ways_to_call_are_gone():
    gone = re.compile(r"-m (?:data_prep|reward_servers|easyr1_fgrpo\.)\w*")
    found = {(name, match) for name, text in texts() for match in gone.findall(text)}
    assert not found


def test_scripts_call_what_can_be_split():
    for name, text in texts():
        for line in text.splitlines():
            if name.endswith(".sh") and line.strip().startswith("fgrpo "):
                shlex.split(line)

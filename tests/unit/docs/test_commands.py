"""Every `fgrpo ...` that a page, a script or a message of the code names exists, with the options it is given."""

import re
import shlex
import subprocess
from pathlib import Path

from typer.main import get_command

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.config.load import load_config, read_settings

from .pages import PAGES, ROOT, blocks

NAMED = re.compile(r"(?:^|[\s`'\"(])(?:\.venv/bin/)?fgrpo ([a-z_]+\b(?![=.]\w)[^`\n\"']*)", re.MULTILINE)
WORDS = re.compile(r"[a-z][a-z_0-9]*")


def texts():
    """Pages, scripts and sources, backslashed lines joined."""
    listed = ["git", "ls-files", "*.md", "*.sh", "easyr1_fgrpo/*.py", "data_prep/*.py", "reward_servers/*.py"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        yield name, (ROOT / name).read_text().replace("\\\n", " ")


def shell_commands():
    """Every command of the pages' blocks for the shell, as the page and the command's words."""
    for page in PAGES:
        for block in blocks(page.read_text(), "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.split(r"&&|;", line):
                    if words := shlex.split(command, comments=True):
                        yield page.name, words


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


def test_every_command_is_on_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    assert [name for name in get_command(app).commands if f"`fgrpo {name}`" not in index] == []


def test_a_wrong_command_is_found():
    assert list(problems("run `fgrpo tabulate`")) == ["fgrpo tabulate"]
    assert list(problems("fgrpo judge ask x")) == ["fgrpo judge ask"]
    assert list(problems("fgrpo plan --fast")) == ["fgrpo plan --fast"]
    assert list(problems("fgrpo plan --no-files a=b && vllm serve --port 1")) == []


def test_the_commands_of_the_pages_are_complete():
    """Every `fgrpo` in a block for the shell has its arguments, with values that the command takes."""
    wrong, n = [], 0
    for page, words in shell_commands():
        if Path(words[0]).name == "fgrpo":
            command, rest = get_command(app), words[1:]
            while hasattr(command, "commands"):
                command, *rest = command.commands[rest[0]], *rest[1:]
            n += 1
            try:
                command.make_context("fgrpo", rest)
            except Exception as error:  # of typer's own click, or of click
                wrong.append(f"{page}: {shlex.join(words)}: {error}")
    assert n > 15
    assert wrong == []


def test_the_recipes_of_the_pages_compose(monkeypatch):
    """Every RL recipe in a block for the shell, with the groups of its script and its overrides."""
    monkeypatch.chdir(ROOT)
    composed = set()
    for _, words in shell_commands():
        settings = [word for word in words if re.match(r"[A-Z_]+=", word)]
        script = next((word for word in words if re.fullmatch(r"recipes/run_fgrpo_\w+\.sh", word)), None)
        if script is None:
            continue
        (groups,) = re.findall(r'^run_recipe (.*) "\$@"$', (ROOT / script).read_text(), re.MULTILINE)
        given = [word for word in words[words.index(script) + 1 :] if not word.startswith("--")]
        overrides = (*groups.split(), *given)
        if overrides not in composed:
            composed.add(overrides)
            with monkeypatch.context() as environment:
                for name, _, value in (setting.partition("=") for setting in settings):
                    environment.setenv(name, value)
                read_settings(load_config(overrides))
    assert len(composed) > 10


def test_old_ways_to_call_are_gone():
    gone = re.compile(r"-m (?:data_prep|reward_servers|easyr1_fgrpo\.)\w*")
    found = {(name, match) for name, text in texts() if name != "CHANGELOG.md" for match in gone.findall(text)}
    assert not found

"""The command `fgrpo` reaches every room."""

import errno

from typer.testing import CliRunner

from easyr1_fgrpo.cli import app

COMMANDS = {
    *("doctor", "plan", "stages", "train", "summary", "evaluate", "audit", "compare", "serve", "export"),
    *("report", "figures", "judge", "data", "study", "miniature", "smoke"),
}


def test_these_are_the_commands():
    listed = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert listed | {group.name for group in app.registered_groups} == COMMANDS


def test_every_command_explains_itself():
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    inside = [
        (name, command.name or command.callback.__name__)
        for name, group in groups.items()
        for command in group.registered_commands
    ]
    for words in [*((name,) for name in COMMANDS), *inside]:
        done = CliRunner().invoke(app, [*words, "--help"])
        assert done.exit_code == 0, words
        assert "Usage" in done.output


def test_a_full_or_read_only_disk_is_one_line(monkeypatch):
    from easyr1_fgrpo.verl_plugin.preflight import doctor

    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "runs/a/metrics.jsonl")

    monkeypatch.setattr(doctor, "report", full)
    done = CliRunner().invoke(app, ["doctor"])
    assert (done.exit_code, done.output) == (1, "error: runs/a/metrics.jsonl: No space left on device\n")


def test_a_report_of_a_run_that_is_not_there_names_it(tmp_path):
    done = CliRunner().invoke(app, ["report", str(tmp_path / "absent"), "-o", str(tmp_path / "report.html")])
    assert done.exit_code != 0
    assert "absent" in done.output


def test_a_page_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    for out, said in ((tmp_path, "is a folder; name a file"), (tmp_path / "file" / "a" / "b.html", "is no folder")):
        done = CliRunner().invoke(app, ["report", str(tmp_path / "absent"), "-o", str(out)])
        assert done.exit_code == 1
        assert done.output.startswith(f"error: --out {out}: ")
        assert said in done.output
        assert len(done.output.splitlines()) == 1


def test_a_world_says_at_once_how_many_scenes_it_draws_and_has_a_seed_that_a_run_takes(tmp_path):
    few = [word for name in ("train", "val", "test", "sft", "sft-val") for word in (f"--{name}", "2")]
    build = ["miniature", "build", "--out", str(tmp_path / "world"), *few, "--seed"]
    refused = CliRunner().invoke(app, [*build, "4294967296"])
    assert refused.exit_code != 0
    assert "4294967295" in refused.output
    done = CliRunner().invoke(app, [*build, "0"])
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "drawing 10 scenes"


def test_a_folder_that_is_written_as_a_whole_is_new_and_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    commands = {
        "out": ["export", str(tmp_path / "run")],
        "--out": ["miniature", "build", "--seed", "0", "--out"],
    }
    for name, command in commands.items():
        for out, said in (
            (tmp_path, "is there and not empty; remove it or name another folder"),
            (tmp_path / "file", "is there and not empty; remove it or name another folder"),
            (tmp_path / "file/a", f"{tmp_path}/file is no folder; name another place"),
        ):
            done = CliRunner().invoke(app, [*command, str(out)])
            assert done.exit_code == 1
            assert done.output == f"error: {name} {out}: {said}\n"

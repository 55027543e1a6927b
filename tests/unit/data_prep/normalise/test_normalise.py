# The stage: killed and resumed, benchmark items kept out, and its commands.
import json
import signal
import subprocess
import sys
import time

import pytest
from source_files import (
    make_sources,
    picture,
    sat_record,
    treevgr_record,
    vgr_record,
    write_sat,
    write_treevgr,
    write_vgr,
)
from typer.testing import CliRunner

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.normalise import prepare_source
from data_prep.normalise.open_ended import OpenEnded
from data_prep.shards import read_rejects, read_rows
from easyr1_fgrpo.cli.data import app


def prepare(name, location, out, **changes):
    values = {"images": "", "seed": 0, "open_ended": OpenEnded.KEEP, "benchmarks": Benchmarks()} | changes
    return prepare_source(name, str(location), values.pop("images"), out, **values)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_killed_again_and_again_it_ends_in_the_same_bytes(tmp_path):
    photos = [picture(n, 32, 24) for n in range(5)]
    answers = ["d" if n % 7 == 0 else "a" for n in range(2450)]
    records = [
        sat_record([photos[n % 5]], f"Question {n}?", ("a", "b", "c"), answer) for n, answer in enumerate(answers)
    ]
    source = write_sat(tmp_path / "sat", records)
    prepare("sat", source, tmp_path / "whole")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "easyr1_fgrpo", "data", "normalise", "sat", "--location", source, "--out", out]
    made = {}
    for shard in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 240
        while not (out / f"rows-0000{shard}.parquet").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "summary.json").exists()
        made = {path: path.stat().st_mtime_ns for path in out.glob("rows-*.parquet")}
        assert made
    summary = prepare("sat", source, out)
    assert (summary["in"], summary["out"], summary["rejected"]) == (
        2450,
        2100,
        {"the answer is none of the choices": 350},
    )
    assert {path: path.stat().st_mtime_ns for path in made} == made  # finished shards were not made again
    assert contents(out) == contents(tmp_path / "whole")


def test_a_half_unpacked_archive_is_unpacked_again(tmp_path):
    record = treevgr_record("images/0.jpg", "What?", "cat", [])
    source = write_treevgr(tmp_path / "tree", [record], {"images/0.jpg": picture(0)})
    folder = tmp_path / "out" / "unpacked" / "images"
    folder.mkdir(parents=True)
    (folder / "0.jpg").write_bytes(picture(0)[:100])  # killed while this was written
    assert prepare("treevgr", source, tmp_path / "out")["out"] == 1
    (source / "images.tar.gz").write_bytes(b"gone")
    (tmp_path / "out" / "summary.json").unlink()
    assert prepare("treevgr", source, tmp_path / "out")["out"] == 1  # and once it is finished, never again


def test_a_folder_begun_with_other_settings_is_refused(tmp_path):
    source = write_sat(tmp_path / "sat", [sat_record([picture(0)])])
    first = prepare("sat", source, tmp_path / "out")
    assert prepare("sat", source, tmp_path / "out") == first
    with pytest.raises(ValueError, match=r"out was begun with other settings \(seed=0, now 1\)"):
        prepare("sat", source, tmp_path / "out", seed=1)
    write_sat(source, [sat_record([picture(0)])] * 2)
    with pytest.raises(ValueError, match="other settings"):
        prepare("sat", source, tmp_path / "out")


# ---------------------------------------------------------------------- commands


def command(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_from_sources_to_a_contact_sheet(tmp_path):
    make_sources(tmp_path, rows=6)
    for name in ("sat", "vgr", "visual_cot", "treevgr"):
        images = ["--images", tmp_path / "llava"] if name == "vgr" else []
        result = command("normalise", name, "--location", tmp_path / name, "--out", tmp_path / "out" / name, *images)
        assert result.exit_code == 0
        assert f"{name}: in 6 = out 6 + rejected 0" in result.output
    result = command("validate", *(tmp_path / "out").iterdir())
    assert result.exit_code == 0
    assert "24 rows" in result.output
    result = command("inspect", tmp_path / "out" / "vgr", "--out", tmp_path / "sheet.html")
    assert (result.exit_code, (tmp_path / "sheet.html").exists()) == (0, True)


def test_a_planted_benchmark_item_does_not_come_out(tmp_path):
    asked = "If the man in the yellow coat walks around the fountain, what does he see on his left?"
    item = sat_record([picture("secret", 200, 100)], asked)
    benchmark = write_sat(tmp_path / "benchmark", [item], "SAT_test.parquet")
    records = [
        sat_record([picture(1), picture("secret", 200, 100, "PNG")], "Is it day or night?"),  # its picture
        sat_record([picture(2)], f"<image> {asked.upper()}"),  # its question
        sat_record([picture(3)], "Is the chair left or right?"),
    ]
    source = write_sat(tmp_path / "sat", records)
    result = command("normalise", "sat", "--location", source, "--out", tmp_path / "out", "--benchmark", benchmark)
    assert result.exit_code == 0
    assert "in 3 = out 1 + rejected 2" in result.output
    assert "kept out: 1 benchmark items" in result.output
    assert [row["extra_info"]["index"] for row in read_rows(tmp_path / "out")] == [2]
    assert [(reject["row"], reject["reason"]) for reject in read_rejects(tmp_path / "out")] == [
        (0, "benchmark image"),
        (1, "benchmark question"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["normalise", "imagenet", "--out", "OUT"],
            "imagenet: no such source; there are sat, vgr, visual_cot, treevgr",
        ),
        (["normalise", "sat", "--location", "/no", "--out", "OUT"], "/no: no such file or folder"),
        (["normalise", "sat", "--open-ended", "maybe", "--out", "OUT"], "--open-ended maybe: is none of keep, drop"),
        (["normalise", "sat", "--benchmark", "/no", "--out", "OUT"], "/no: no benchmark items"),
        (["inspect", "/no"], "/no: no such file, nor a folder"),
        (["validate", "/no"], "/no: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(tmp_path, arguments, message):
    result = command(*(str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments))
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {message}")


def test_a_source_of_which_nothing_is_left_is_an_error(tmp_path):
    source = write_vgr(tmp_path / "vgr", [vgr_record("gqa/1.jpg", "What?", "cat")])
    result = command("normalise", "vgr", "--location", source, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no row is left of vgr" in result.output
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rejected"] == {"missing image": 1}

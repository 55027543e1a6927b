"""kill -9 inside `curate` and `mix`, at chosen moments, and the same command again: the same files, byte for byte."""

import json
import signal
import subprocess
import sys

import pytest
from made_rows import made_folder, made_row

from easyr1_fgrpo.cli.data import app

# Runs a command of data_prep and kills its process at the nth call of a function.
KILLED_AT = """
import importlib, os, signal, sys
module, name, nth, *command = sys.argv[1:]
owner = importlib.import_module(module)
*outer, name = name.split(".")
for part in outer:
    owner = getattr(owner, part)
whole, calls = getattr(owner, name), []

def counted(*arguments, **named):
    calls.append(name)
    if len(calls) == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments, **named)

setattr(owner, name, counted)
from easyr1_fgrpo.cli.data import app
app(command)
"""


def contents(folder):
    """Every file's bytes; of the summary, all but the command, which names the folder."""
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    summary = json.loads(made.pop("summary.json"))
    assert summary.pop("command")
    return made, summary


def check(command, out, whole, killed_at):
    app([*command, "--out", str(whole)], standalone_mode=False)
    line = [sys.executable, "-c", KILLED_AT, *map(str, killed_at), *command, "--out", str(out)]
    killed = subprocess.run(line, capture_output=True, text=True, timeout=400, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / "summary.json").exists()
    app([*command, "--out", str(out)], standalone_mode=False)
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(
    "killed_at",
    [
        ("easyr1_fgrpo.rows.parquet", "ParquetWriter.add", 20),  # some rows are written
        ("easyr1_fgrpo.rows.parquet", "ParquetWriter.close", 2),  # one part is there, the other is not
        ("data_prep.sets.mix", "write_json", 1),  # both are there, the summary is not
    ],
)
def test_mix(tmp_path, killed_at):
    sat = made_folder(tmp_path / "sat", [made_row(i) for i in range(40)])
    vgr = made_folder(tmp_path / "vgr", [made_row(i, source="vgr", boxes=[(1, 2, 9, 8)]) for i in range(25)])
    check(["mix", f"{sat}=30", f"{vgr}=20", "--val", "10"], tmp_path / "out", tmp_path / "whole", killed_at)


def test_curate(tmp_path, embedder):
    sat = made_folder(tmp_path / "sat", [made_row(i) for i in range(40)])
    command = ["curate", f"{sat}=6", "--embedder", embedder]
    check(command, tmp_path / "out", tmp_path / "whole", ("easyr1_fgrpo.rows.parquet", "ParquetWriter.close", 1))

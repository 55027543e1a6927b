"""Runs `fgrpo data import`, and reads what came of it."""

import json
import shutil

from typer.testing import CliRunner

from easyr1_fgrpo.cli.data import app
from easyr1_fgrpo.rows import check_rows, read_rows

PICTURES = 6


def run(home, file, *options):
    out = home / "out"
    done = CliRunner().invoke(app, ["import", str(file), "--images", str(home / "images"), "--out", str(out), *options])
    return done, out


def imported(home, file, *options):
    """Rows by split and rejects; every record is in one of them, and every row can be trained on."""
    shutil.rmtree(home / "out", ignore_errors=True)
    done, out = run(home, file, *options)
    assert done.exit_code == 0, done.output
    rows = {path.stem: list(read_rows(path)) for path in sorted(out.glob("*.parquet"))}
    assert check_rows(sorted(out.glob("*.parquet"))) == []
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["out"] == {split: len(part) for split, part in rows.items()}
    assert summary["in"] == sum(map(len, rows.values())) + len(rejects)
    numbers = [row.extra_info.index for part in rows.values() for row in part] + [reject["row"] for reject in rejects]
    assert sorted(numbers) == list(range(summary["in"]))
    assert f"in {summary['in']} = " in done.stdout
    seen = [{image.data for row in part for image in row.images} for part in rows.values()]
    assert sum(map(len, seen)) == len(set().union(*seen)), "a picture in two splits"
    return rows, rejects, done.stdout


def every(rows):
    return sorted((row for part in rows.values() for row in part), key=lambda row: row.extra_info.index)


def jsonl(home, records):
    (home / "mine.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return home / "mine.jsonl"


def records(**more):
    return [{"question": f"Number {n}?", "answer": "red", "image": f"{n}.png", **more} for n in range(PICTURES)]

"""Prepares a source, and reads what came of it."""

from data_prep.normalise.decontaminate import Benchmarks
from data_prep.normalise.normalise import prepare_source
from data_prep.normalise.open_ended import OpenEnded
from data_prep.shards import read_rejects, read_rows

NOBODY = Benchmarks()


def prepare(name, location, out, images="", seed=0, open_ended="keep"):
    """Rows and rejects of a source; in = out + rejects always holds."""
    summary = prepare_source(name, str(location), str(images), out, seed, OpenEnded(open_ended), NOBODY)
    rows, rejects = list(read_rows(out)), list(read_rejects(out))
    assert summary["in"] == len(rows) + len(rejects) == summary["out"] + sum(summary["rejected"].values())
    numbers = [row["extra_info"]["index"] for row in rows] + [reject["row"] for reject in rejects]
    assert sorted(numbers) == list(range(summary["in"]))
    return rows, rejects


def info(row, key):
    return row["extra_info"][key]


def reasons(rejects):
    return [reject["reason"] for reject in rejects]

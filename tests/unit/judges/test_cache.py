import asyncio
import logging
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.judges import cache as module
from easyr1_fgrpo.judges.cache import Known, VerdictCache, cache_key
from easyr1_fgrpo.judges.protocol import Label

WRITER = """
import asyncio, sys
from easyr1_fgrpo.judges.cache import VerdictCache, cache_key
from easyr1_fgrpo.judges.protocol import Label

async def write(directory, name, count):
    cache = VerdictCache(directory, max_gib=0.1)
    for number in range(count):
        await cache.put(cache_key(name, number), [Label.CORRECT], f"{name} {number}")
        print(number, flush=True)

asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def writer(directory: Path, name: str, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(directory), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def database(directory: Path) -> Path:
    return directory / "cache.db"


async def filled(directory: Path, count: int) -> list[str]:
    cache, keys = VerdictCache(directory, max_gib=0.1), [cache_key(number) for number in range(count)]
    for number, key in enumerate(keys):
        await cache.put(key, [Label.SKIP], f"text {number}")
    await cache.close()
    return keys


async def test_an_answer_is_found_again_also_by_another(tmp_path):
    known = Known((Label.CORRECT, Label.SKIP), "[CORRECT, \u00e9\n]")
    cache = VerdictCache(tmp_path / "made" / "here", max_gib=0.1)
    assert await cache.get(cache_key("a")) is None
    await cache.put(cache_key("a"), known.labels, known.text)
    assert await cache.get(cache_key("a")) == known
    assert await VerdictCache(tmp_path / "made" / "here", max_gib=0.1).get(cache_key("a")) == known
    await cache.close()
    assert await cache.get(cache_key("a")) == known


@given(st.lists(st.text()), st.lists(st.text()))
def test_equal_content_equal_key(one, two):
    assert (cache_key(*one) == cache_key(*two)) == (one == two)


async def test_writers_at_once_lose_nothing(tmp_path):
    writers = [writer(tmp_path, name, 150) for name in ("a", "b", "c")]
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    cache = VerdictCache(tmp_path, max_gib=0.1)
    for process, name in zip(writers, "abc", strict=True):
        process.stdout.close()
        for number in range(150):
            assert await cache.get(cache_key(name, number)) == Known((Label.CORRECT,), f"{name} {number}")


@pytest.mark.parametrize("lines", [1, 60, 200])
async def test_what_was_acknowledged_survives_kill_9(tmp_path, lines):
    bystander = writer(tmp_path, "bystander", 300)
    process = writer(tmp_path, "killed", 1_000_000)
    acknowledged = [int(process.stdout.readline()) for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    assert bystander.wait(60) == 0
    bystander.stdout.close()
    cache = VerdictCache(tmp_path, max_gib=0.1)
    for number in acknowledged:
        assert (await cache.get(cache_key("killed", number))).text == f"killed {number}"
    assert (await cache.get(cache_key("bystander", 299))).text == "bystander 299"
    await cache.put(cache_key("after"), [Label.SKIP], "after")
    assert (await cache.get(cache_key("after"))).text == "after"


async def test_the_oldest_entries_go_when_it_is_full(tmp_path):
    cache = VerdictCache(tmp_path, max_gib=0.5 / 1024)
    for number in range(1500):
        await cache.put(cache_key(number), [Label.SKIP], f"{number} " + "x" * 1000)
    held = [number for number in range(1500) if await cache.get(cache_key(number))]
    assert held == list(range(held[0], 1500))
    assert 200 < len(held) < 520
    await cache.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 0.7 * 2**20


def broken_at_the_start(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 100)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def an_entry_changed(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE Cache SET value = replace(value, 'SKIP', 'CORRECT')")


def entries_exchanged(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT rowid, value FROM Cache ORDER BY rowid").fetchall()
        for (rowid, _), (_, value) in zip(rows, reversed(rows), strict=True):
            connection.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (value, rowid))


def another_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE Cache")
        connection.execute("CREATE TABLE Cache (key TEXT)")


class Planted:
    def __reduce__(self):
        return os.mkdir, (str(Planted.path),)


def a_pickle_planted(path: Path) -> None:
    Planted.path = path.parent / "executed"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Planted()),))


DAMAGES = [broken_at_the_start, cut_short, an_entry_changed, entries_exchanged, another_table, a_pickle_planted]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_cache_is_left_out_with_one_warning(tmp_path, caplog, damage):
    keys = await filled(tmp_path, 200)
    damage(database(tmp_path))
    cache = VerdictCache(tmp_path, max_gib=0.1)
    found = await asyncio.gather(*(cache.get(key) for key in keys))
    await cache.put(cache_key("new"), [Label.SKIP], "new")
    assert set(found) <= {None, *(Known((Label.SKIP,), f"text {number}") for number in range(200))}
    assert None in found
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert str(tmp_path) in warning
    assert "is left out" in warning
    assert "delete the folder" in warning
    assert not (tmp_path / "executed").exists()
    await cache.close()


@pytest.mark.parametrize("seed", range(12))
async def test_no_damage_makes_a_wrong_verdict(tmp_path, seed):
    keys = await filled(tmp_path, 100)
    content, draws = bytearray(database(tmp_path).read_bytes()), random.Random(seed)
    for _ in range(10 ** (1 + seed % 4)):
        content[draws.randrange(len(content))] = draws.randrange(256)
    database(tmp_path).write_bytes(content)
    cache = VerdictCache(tmp_path, max_gib=0.1)
    for number, key in enumerate(keys):
        assert await cache.get(key) in (None, Known((Label.SKIP,), f"text {number}"))
    await cache.put(keys[0], [Label.CORRECT], "new")
    assert await cache.get(keys[0]) in (None, Known((Label.CORRECT,), "new"))


async def test_a_folder_that_cannot_be_written_is_left_out(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = VerdictCache(tmp_path / "file" / "cache", max_gib=0.1)
    await cache.put(cache_key(1), [Label.SKIP], "text")
    assert await cache.get(cache_key(1)) is None
    assert len(caplog.records) == 1


async def test_a_writer_that_holds_the_lock_leaves_the_event_loop_free(tmp_path):
    await filled(tmp_path, 1)
    cache = VerdictCache(tmp_path, max_gib=0.1)
    await cache.get(cache_key(0))
    with sqlite3.connect(database(tmp_path), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        putting = asyncio.create_task(cache.put(cache_key("late"), [Label.SKIP], "late"))
        await asyncio.sleep(0.1)  # in an event loop that the writer held up, it would be over after this
        assert not putting.done()
        other.execute("ROLLBACK")
    other.close()
    await putting
    assert (await cache.get(cache_key("late"))).text == "late"


async def test_a_lock_that_is_never_released_is_given_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "LOCK_DEADLINE_S", 0.1)
    await filled(tmp_path, 1)
    cache = VerdictCache(tmp_path, max_gib=0.1)
    await cache.get(cache_key(0))
    with sqlite3.connect(database(tmp_path), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        await cache.put(cache_key("late"), [Label.SKIP], "late")
        other.execute("ROLLBACK")
    other.close()
    assert "is left out" in caplog.text
    assert await cache.get(cache_key(0)) is None

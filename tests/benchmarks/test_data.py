"""Speed and memory of normalising 100,000 rows; decoding pictures is Pillow's part and stays out of the speed."""

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROWS = 100_000

# In a process of its own: its peak memory is the stage's alone.
RUN = """
import resource, sys
from pathlib import Path
from PIL import Image
from data_prep.normalise import normalise as stage, row
from data_prep.sources import SOURCES

picture = Image.new("RGB", (8, 8))
row.keep_bytes = lambda data: (data, picture)
before = resource.getrusage(resource.RUSAGE_SELF)
start = before.ru_utime + before.ru_stime
summary = stage.normalise(stage.Normaliser(SOURCES["sat"]), [Path(sys.argv[1])], Path(sys.argv[2]), threads=1)
after = resource.getrusage(resource.RUSAGE_SELF)
assert summary["in"] == summary["out"], summary
peak_kib = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]  # ru_maxrss would have the parent's
print(summary["out"], after.ru_utime + after.ru_stime - start, int(peak_kib) / 2**20)
"""


def test_normalising_100_000_rows(benchmark, tmp_path):
    source = _sat(tmp_path / "SAT_train.parquet", ROWS)
    rows, seconds, gib = benchmark.pedantic(lambda: _run(source, tmp_path / "out"), rounds=1)
    benchmark.extra_info.update(rows_per_cpu_second=rows / seconds, peak_gib=gib)
    assert rows / seconds >= 5000
    assert gib < 1.5


def test_memory_does_not_grow_with_the_source(benchmark, tmp_path):
    small, large = (_sat(tmp_path / f"SAT_train_{rows}.parquet", rows) for rows in (5_000, 50_000))
    _, _, before = _run(small, tmp_path / "small")
    _, _, after = benchmark.pedantic(lambda: _run(large, tmp_path / "large"), rounds=1)
    assert after < before + 0.15


def _run(source, out):
    done = subprocess.run(
        [sys.executable, "-c", RUN, source, out],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    rows, seconds, gib = map(float, done.stdout.split())
    return rows, seconds, gib


def _sat(path, rows):
    """SAT's training file: one row group."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    table = pa.table(
        {
            "image_bytes": [[buffer.getvalue()]] * rows,
            "question": [f"Is chair number {n} to the left or to the right of the table?" for n in range(rows)],
            "answers": [["left", "right"]] * rows,
            "question_type": ["other"] * rows,
            "correct_answer": ["left"] * rows,
        }
    )
    pq.write_table(table, path, row_group_size=rows)
    return path

"""Progress on a terminal, and where nobody watches."""

import io

from easyr1_fgrpo import terminal
from easyr1_fgrpo.terminal import printable, progress_bar


def test_text_is_one_line_without_escapes():
    assert printable("a\x1b[31mb\nc é λ") == "a\\x1b[31mb\\nc é λ"


def test_a_bar_in_a_log_is_a_line_at_times(tmp_path, monkeypatch):
    log = tmp_path / "log"
    with log.open("w") as file:
        for _ in progress_bar(range(1000), desc="short", file=file):
            pass
    assert log.read_text() == ""
    monkeypatch.setattr(terminal, "LINE_S", 0.0)
    with log.open("w") as file, progress_bar(total=3, desc="training", unit="step", file=file, delay=0.0) as bar:
        for _ in range(3):
            bar.set_postfix_str("task 0.50", refresh=False)
            bar.update()
    lines = log.read_text().splitlines()
    assert "\r" not in log.read_text()
    assert lines[0].startswith("training: 0/3 step [00:00<?")
    assert lines[-1].startswith("training: 3/3 step [00:00<00:00, ")
    assert lines[-1].endswith("step/s, task 0.50]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal_is_a_bar():
    file = Terminal()
    with progress_bar(total=2, desc="training", file=file) as bar:
        bar.update(2)
    assert "\rtraining: 100%|" in file.getvalue()

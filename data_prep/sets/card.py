"""The data card: `README.md` beside the RL set, every number of it counted from the files.

Which rows came in and went out at every stage and why, what the rows are like, licences, and how to make them again.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.sets.mix import PARTS
from data_prep.shards import read_rows, read_summary

SIZES = (256, 512, 1024, 2048)
"""Upper bounds of the longer side of the first picture, pixels."""

BOXES = (0, 1, 2, 4, 10)
"""Upper bounds of the boxes of a row."""

INTRODUCTION = """\
# RL set for Faithful GRPO

Questions about pictures with checkable answers, drawn from public sources as in Faithful GRPO
([arXiv 2604.08476](https://arxiv.org/abs/2604.08476), section A.3): normalised to one row schema, kept where the base
model is right sometimes, and mixed. `train.parquet` and `val.parquet` share no picture.

Columns are verl's: `data_source`, `prompt`, `images` (encoded bytes), `reward_model.ground_truth` (the right option's
text) and `extra_info` (question, choices, boxes as xyxy in raw pixels of the first picture, its width and height, ...).
"""


@dataclass
class Tally:
    """What the rows of one source are like."""

    parts: Counter[str] = field(default_factory=Counter)
    boxes: Counter[int] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    choices: Counter[int] = field(default_factory=Counter)
    datasets: Counter[str] = field(default_factory=Counter)
    licences: set[str] = field(default_factory=set)

    def add(self, part: str, info: Mapping[str, Any]) -> None:
        """Count a row by its extra_info."""
        self.parts[part] += 1
        self.boxes[bisect_left(BOXES, len(info["boxes"] or ()))] += 1
        self.sizes[bisect_left(SIZES, max(info["width"], info["height"]))] += 1
        self.choices[len(info["choices"] or ())] += 1
        self.datasets[info["dataset"]] += 1
        self.licences.add(info["licence"])


def write_card(rl: Path, stages: Sequence[Path]) -> str:
    """Write `rl/README.md`.

    Args:
        rl: folder of train.parquet and val.parquet.
        stages: folders of the stages on the way, with a summary.json each, in their order.

    Returns:
        The card.

    Raises:
        FileNotFoundError: when a stage is not finished, or a file of the set is missing.
    """
    folders = [folder.resolve() for folder in [*stages, rl]]
    root = Path(os.path.commonpath([folder.parent for folder in folders]))
    summaries = {str(folder.relative_to(root)): _summary(folder) for folder in folders}
    tallies = _tallies(rl)
    card = "\n".join(
        [
            *_front_matter(tallies),
            INTRODUCTION,
            *_section("Rows", _contents(tallies)),
            *_section("From the sources to the set", _stages(summaries)),
            *_section("Difficulty", _difficulty(summaries)),
            *_section("Boxes of a row", _histogram(tallies, "boxes", _ranges(BOXES))),
            *_section("Longer side of the first picture, pixels", _histogram(tallies, "sizes", _ranges(SIZES))),
            *_section("Choices of a row (0: open-ended)", _histogram(tallies, "choices", None)),
            *_section("Parts of the sources", _datasets(tallies)),
            *_section("How it was made", _settings(summaries)),
        ]
    )
    (rl / "README.md").write_text(card, encoding="utf-8")
    return card


# ---------------------------------------------------------------------- sections


def _front_matter(tallies: Mapping[str, Tally]) -> list[str]:
    size = sum(tally.parts.total() for tally in tallies.values())
    files = [
        f"  - split: {split}\n    path: {part}.parquet" for split, part in (("train", "train"), ("validation", "val"))
    ]
    return [
        "---",
        "license: other",
        "task_categories: [visual-question-answering]",
        "language: [en]",
        f"pretty_name: RL set for Faithful GRPO ({size} rows)",
        "configs:\n- config_name: default\n  data_files:",
        *files,
        "---",
    ]


def _contents(tallies: Mapping[str, Tally]) -> list[str]:
    rows = [
        [name, *(tally.parts[part] for part in PARTS), ", ".join(sorted(filter(None, tally.licences))) or "not stated"]
        for name, tally in tallies.items()
    ]
    total = ["all", *(sum(tally.parts[part] for tally in tallies.values()) for part in PARTS), ""]
    table = _table(["source", *PARTS, "licence of the annotations"], [*rows, total])
    return [*table, "", "Pictures keep the terms of the collections that they come from."]


def _stages(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for stage, summary in summaries.items():
        for label, flow in _flows(summary):
            reasons = ", ".join(f"{reason}: {count}" for reason, count in flow["rejected"].items() if count)
            rows.append([stage, label, flow["in"], flow["out"], flow["in"] - flow["out"], reasons])
    return _table(["stage", "what", "in", "out", "left out", "of which"], rows)


def _flows(summary: Mapping[str, Any], label: str = "rows") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Everywhere in a summary where something came in and went out."""
    if _is_flow(summary):
        yield summary.get("source", label), summary
    for name, value in summary.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _flows(part, name)


def _difficulty(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = [summary for summary in summaries.values() if summary.get("stage") == "difficulty"]
    if not found:
        return ["No difficulty filter among the stages."]
    most = max(summary["rollouts"] for summary in found)
    rows = []
    for summary in found:
        for label, counts in (("asked", "rows_by_right_rollouts"), ("kept", "kept_by_right_rollouts")):
            rows.append([summary["source"], label, *(summary[counts].get(str(n), 0) for n in range(most + 1))])
    model = ", ".join(sorted({f"`{summary['model']}`" for summary in found}))
    return [
        f"Rows by how many of their rollouts of {model} are right.",
        "",
        *_table(["source", "rows", *(f"{n} right" for n in range(most + 1))], rows),
    ]


def _histogram(tallies: Mapping[str, Tally], what: str, names: Sequence[str] | None) -> list[str]:
    counters = {name: getattr(tally, what) for name, tally in tallies.items()}
    bins = sorted({value for counter in counters.values() for value in counter})
    if names is not None:
        bins = list(range(len(names)))
    head = ["source", *(names[value] if names else value for value in bins)]
    return _table(head, [[name, *(counter[value] for value in bins)] for name, counter in counters.items()])


def _datasets(tallies: Mapping[str, Tally]) -> list[str]:
    rows = [
        [name, part or "not stated", count]
        for name, tally in tallies.items()
        for part, count in sorted(tally.datasets.items())
    ]
    return _table(["source", "part", "rows"], rows)


def _settings(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What every stage wrote down about how it was run, its counts aside; stages that were run alike share an entry."""
    counted = {"in", "out", "rejected", "source", "sources", "stage", "command"}
    stages_of: dict[tuple[str, ...], list[str]] = {}
    for stage, summary in summaries.items():
        chosen = {key: value for key, value in summary.items() if key not in counted and "rollouts_" not in key}
        settings = [f"{key} = {json.dumps(value)}" for key, value in chosen.items() if not isinstance(value, dict)]
        settings += [f"{key} = {json.dumps(value)}" for key, value in chosen.items() if key in ("portions", "inputs")]
        stages_of.setdefault((summary.get("command", ""), *settings), []).append(stage)
    lines = []
    for (command, *settings), stages in stages_of.items():
        lines += [", ".join(stages), *(f"    {line}" for line in (command, *settings) if line)]
    return ["```text", *(line.replace("`", "'") for line in lines), "```"]


# ---------------------------------------------------------------------- parts


def _tallies(rl: Path) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for part in PARTS:
        for row in read_rows(rl / f"{part}.parquet", ["data_source", "extra_info"]):
            tallies.setdefault(row["data_source"], Tally()).add(part, row["extra_info"])
    return dict(sorted(tallies.items()))


def _summary(folder: Path) -> dict[str, Any]:
    if (summary := read_summary(folder)) is None:
        raise FileNotFoundError(f"{folder} has no summary.json: this stage is not finished")
    return summary


def _is_flow(value: Any) -> bool:
    """Whether it says what came in and what went out."""
    return isinstance(value, dict) and {"in", "out", "rejected"} <= value.keys()


def _ranges(bounds: Sequence[int]) -> list[str]:
    lows = [0, *(bound + 1 for bound in bounds)]
    inner = [str(low) if low == high else f"{low}-{high}" for low, high in zip(lows, bounds, strict=False)]
    return [*inner, f"over {bounds[-1]}"]


def _section(title: str, body: list[str]) -> list[str]:
    return [f"## {title}", "", *body, ""]


def _table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    numbers = [all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    lines = [head, ["---:" if number else "---" for number in numbers], *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(value: Any) -> str:
    """Text of a source, harmless in a table of Markdown."""
    text = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;")

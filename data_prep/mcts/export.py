"""Traces as training sets: verl's supervised parquet and LLaMA-Factory's ShareGPT, the same conversations in both.

With boxes in pixels; with boxes in thousandths the same in <out>/sft_thousand.

<out>/sft/train.parquet       messages, images {bytes}: for verl's supervised trainer
<out>/sft/traces.json         messages, images [path]: for LLaMA-Factory, with --dataset_dir <out>/sft
<out>/sft/images/<sha256>.*   the rows' image files, untouched
<out>/sft/dataset_info.json   LLaMA-Factory's description of traces.json
<out>/sft/rejects.jsonl       questions and chains that are not in it, each with its reason
<out>/sft/summary.json        counts and settings
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_prep.mcts.coordinates import Convention, PixelBudget
from data_prep.mcts.linearise import MAX_RESPONSE, Chains, linearise
from data_prep.mcts.questions import Question, read_questions
from data_prep.mcts.tree import Tree
from easyr1_fgrpo.files import whole_folder, write_json
from easyr1_fgrpo.pictures import opened, plain_file
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, ParquetWriter
from easyr1_fgrpo.task_prompt import prompt_messages
from easyr1_fgrpo.terminal import progress_bar

FAILED, NOT_YET = "the teacher failed", "not searched yet"
AGAIN = (FAILED, NOT_YET)
"""Reasons for a question without a tree that another run may fix."""

DATASET_INFO = {
    "fgrpo_traces": {
        "file_name": "traces.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}


class _Files:
    """The files of a set while they are written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "images").mkdir()
        self._parquet = ParquetWriter(folder / "train.parquet", CONVERSATION_SCHEMA)
        self._traces = (folder / "traces.json").open("w", encoding="utf-8")
        self._rejects = (folder / "rejects.jsonl").open("w", encoding="utf-8")
        self._first = True

    def traces(self, question: Question, responses: Sequence[str]) -> None:
        """A question's conversations, to both sets."""
        info, images = question.row.extra_info, question.row.images
        files = [plain_file(image.data) for image in images]
        paths = [self._image(file) for file in files]
        for response in responses:
            messages = prompt_messages(info.question, info.choices, len(images))
            messages.append({"role": "assistant", "content": response})
            self._parquet.add({"messages": messages, "images": [{"bytes": file} for file in files]})
            self._traces.write("[\n" if self._first else ",\n")
            self._traces.write(json.dumps({"messages": messages, "images": paths}))
            self._first = False

    def _image(self, data: bytes) -> str:
        """Write an image file; its path as LLaMA-Factory finds it."""
        with opened(data) as image:
            path = f"images/{hashlib.sha256(data).hexdigest()}.{str(image.format).lower()}"
        (self._folder / path).write_bytes(data)
        return path

    def reject(self, entry: Mapping[str, Any]) -> None:
        """A question or chain that is not in the set."""
        self._rejects.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        """Finish all files."""
        self._traces.write("[]\n" if self._first else "\n]\n")
        self._traces.close()
        self._rejects.close()
        self._parquet.close()


def export(
    rows: Path,
    out: Path,
    total: int,
    unsearched: Mapping[str, str],
    convention: Convention,
    budget: PixelBudget,
) -> dict[str, Any]:
    """Write the sets of a convention from rows and trees, in the rows' order, over earlier ones when they are whole.

    Args:
        rows: file or folder of shards that was searched.
        out: with the trees and their settings.json.
        total: number of rows, for the progress bar.
        unsearched: why questions have no tree, where that is known.
        convention: how the policy writes boxes.
        budget: within which the policy sees pictures; for pixels, supervised training must use the same.

    Returns:
        The summary: questions and chains in, out and rejected by reason, and how they were made.

    Raises:
        ValueError: when a tree is damaged, or was made from another row than the one of its name.
    """
    with whole_folder(sft_folder(out, convention), replace=True) as folder:
        tally = _write(rows, out, folder, total, unsearched, convention, budget)
        teacher = json.loads((out / "settings.json").read_text(encoding="utf-8"))
        policy = {"coordinates": convention.value, "min_pixels": budget.least, "max_pixels": budget.most}
        summary = tally.summary() | {"policy": policy, "teacher": teacher}
        write_json(folder / "dataset_info.json", DATASET_INFO)
        write_json(folder / "summary.json", summary)
    return summary


def _write(
    rows: Path,
    out: Path,
    folder: Path,
    total: int,
    unsearched: Mapping[str, str],
    convention: Convention,
    budget: PixelBudget,
) -> _Tally:
    """Write the conversations of all questions, and what is left out."""
    files, tally = _Files(folder), _Tally()
    for name, question in progress_bar(read_questions(rows), total=total, desc="Linearising", unit="question", delay=2):
        problem, chains = "", Chains()
        if isinstance(question, str):
            problem = f"bad row: {question}"
        elif not (path := tree_path(out, name)).exists():
            problem = unsearched.get(name, NOT_YET)
        else:
            chains = linearise(_tree(path, question).root, question, question.frame(convention, budget))
            if chains.chosen:
                files.traces(question, [chain.response for chain in chains.chosen])
            else:
                problem = "no good chain"
        tally.add(problem, chains)
        if problem:
            files.reject({"name": name, "reason": problem})
        for chain in chains.rejected:
            cut = chain.response[:MAX_RESPONSE]
            files.reject({"name": name, "chain": chain.kind, "reason": chain.problem, "response": cut})
    files.close()
    return tally


def sft_folder(out: Path, convention: Convention) -> Path:
    """Where the sets of one convention are: `sft` for pixels, `sft_thousand` for thousandths, from the same trees."""
    return out / ("sft" if convention is Convention.PIXELS else f"sft_{convention.value}")


def tree_path(out: Path, name: str) -> Path:
    """Where a question's finished tree is."""
    return out / "trees" / f"{name}.json"


def _tree(path: Path, question: Question) -> Tree:
    try:
        tree = Tree.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{path} is no tree ({problem['msg']}): remove it, and it is searched again") from None
    if tree.row != question.digest:
        raise ValueError(f"{path} was made from another row of this name: choose another --out, or remove it")
    return tree


class _Tally:
    """What became of questions and chains."""

    def __init__(self) -> None:
        self._questions: Counter[str] = Counter()
        self._chosen: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def add(self, problem: str, chains: Chains) -> None:
        self._questions[problem.partition(":")[0]] += 1  # what follows differs from row to row
        self._chosen.update(chain.kind for chain in chains.chosen)
        self._rejected.update(f"{chain.kind}: {chain.problem}" for chain in chains.rejected)

    def summary(self) -> dict[str, Any]:
        out = self._questions.pop("", 0)
        chosen, rejected = self._chosen.total(), self._rejected.total()
        return {
            "questions": {
                "in": out + self._questions.total(),
                "out": out,
                "rejected": dict(sorted(self._questions.items())),
            },
            "chains": {
                "in": chosen + rejected,
                "out": chosen,
                **{kind: self._chosen[kind] for kind in ("direct", "corrected")},
                "rejected": dict(sorted(self._rejected.items())),
            },
        }

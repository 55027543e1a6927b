"""Curation (FGRPO section A.4): few questions that stand for many, as seeds of the supervised traces.

The paper embeds the questions, clusters the embeddings and picks representatives: 1,500 of SAT, 1,500 of VGR, 3,000 of
Visual-CoT. It names neither model nor numbers. Here: unit-length sentence embeddings, as many k-means clusters as rows
are wanted (mini-batches), and of each cluster the row nearest to its centre. Where clusters stay empty, because many
rows ask the same question, the rows missing are drawn by seed from those not taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.record import command_line
from data_prep.sets.portions import Portion, check_enough, described
from data_prep.shards import read_rows, read_summary
from easyr1_fgrpo.files import begin, write_json
from easyr1_fgrpo.rows import write_rows
from easyr1_fgrpo.terminal import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_QUESTIONS = 256
BATCH_CLUSTERING = 4096
SPLIT = "seeds"


def curate(portions: Sequence[Portion], out: Path, embedder: str, seed: int) -> list[dict[str, Any]]:
    """Write the representatives of every portion to one file, `out/seeds.parquet`, numbered through.

    Args:
        portions: normalised sources and how many rows to take of each.
        out: gets seeds.parquet, then summary.json; a finished one is left as it is.
        embedder: a sentence-transformers model, hub id or folder.
        seed: of clustering and draws.

    Returns:
        One summary a portion.

    Raises:
        ValueError: when a portion asks for more rows than there are, or `out` was begun with other settings.
    """
    questions = {portion: _questions(portion) for portion in portions}
    for portion in portions:
        check_enough(portion, len(questions[portion]))
    settings = {"embedder": embedder, "seed": seed, **described(portions)}
    begin(out, settings)
    if (summary := read_summary(out)) is not None:
        return list(summary["sources"])
    model = _load(embedder)
    chosen = {}
    for portion in progress_bar(portions, desc="Curating", unit="source", disable=len(portions) < 2):
        chosen[portion] = representatives(embed(model, questions[portion]), portion.count, seed)
    write_rows(out / "seeds.parquet", _numbered(chosen))
    sources = [
        {
            "stage": "curate",
            "source": portion.name,
            "in": len(questions[portion]),
            "out": portion.count,
            "rejected": {"not_representative": len(questions[portion]) - portion.count},
        }
        for portion in portions
    ]
    write_json(out / "summary.json", settings | {"sources": sources, "command": command_line()})
    return sources


def representatives(points: NDArray[np.float32], wanted: int, seed: int) -> NDArray[np.int64]:
    """The rows to take: of every cluster the one nearest to its centre.

    Args:
        points: one embedding a row, at least `wanted` rows.
        wanted: how many different rows to take.
        seed: of the clustering, and of the draw that fills up for empty clusters.

    Returns:
        Row numbers, ascending.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import pairwise_distances_argmin_min

    means = MiniBatchKMeans(wanted, batch_size=BATCH_CLUSTERING, n_init=1, random_state=seed).fit(points)
    cluster, distance = pairwise_distances_argmin_min(points, means.cluster_centers_)
    by_distance = np.lexsort((np.arange(len(points)), distance, cluster))
    first = np.unique(cluster[by_distance], return_index=True)[1]
    taken = by_distance[first]
    rest = np.setdiff1d(np.arange(len(points)), taken)
    filled = np.random.default_rng(seed).choice(rest, wanted - len(taken), replace=False)
    return np.sort(np.concatenate([taken, filled]))


def embed(model: Any, questions: Sequence[str]) -> NDArray[np.float32]:
    """Unit-length embeddings, one a question; equal questions are embedded once."""
    different = list(dict.fromkeys(questions))
    index_of = {question: number for number, question in enumerate(different)}
    points: NDArray[np.float32] = model.encode(
        different,
        batch_size=BATCH_QUESTIONS,
        normalize_embeddings=True,
        convert_to_numpy=True,
        show_progress_bar=len(different) > BATCH_QUESTIONS,
    )
    return points[[index_of[question] for question in questions]]


def _questions(portion: Portion) -> list[str]:
    return [row["extra_info"]["question"] for row in read_rows(portion.folder, ["extra_info.question"])]


def _load(embedder: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(embedder)


def _numbered(chosen: dict[Portion, NDArray[np.int64]]) -> Iterator[dict[str, Any]]:
    """The chosen rows in the order of their sources, with a split and indices of their own."""
    index = 0
    for portion, numbers in chosen.items():
        wanted = set(numbers.tolist())
        for number, row in enumerate(read_rows(portion.folder)):
            if number in wanted:
                yield row | {"extra_info": row["extra_info"] | {"split": SPLIT, "index": index}}
                index += 1

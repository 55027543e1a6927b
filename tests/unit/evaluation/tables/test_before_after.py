from made_results import outcome, result
from rich.console import Console

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import Evaluation
from easyr1_fgrpo.evaluation.tables.before_after import results_table
from easyr1_fgrpo.judges.protocol import Label

FIRST = result(
    "before",
    [outcome(n, accurate=n < 6, consistency=Label.YES if n < 9 else Label.NO, tokens=10 + n) for n in range(10)],
)
SECOND = result("after", [outcome(n, accurate=n < 9, spatial_grounding=n / 10) for n in range(10)])
UNJUDGED = result("blind", [outcome(n, consistency=None, semantic_reason="JUDGE_UNREACHABLE") for n in range(4)])


SETTINGS = {"judges": {"consistency": "oracle", "grounding": "oracle"}}


def printed(results, extra=None, width=140):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(results_table(Evaluation(settings=SETTINGS, results=tuple(results)), extra))
    return capture.get()


def cells(results, title, extra=None):
    """The cells behind a title, each with what stands below it."""
    lines = printed(results, extra).splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith(title))
    below = lines[at + 1] if not lines[at + 1].strip()[:1].isalpha() else ""
    return lines[at].strip().removeprefix(title).split("  "), below.split()


def shown(results, title, extra=None):
    values, below = cells(results, title, extra)
    return [value.strip() for value in values if value.strip()], below


def test_numbers_intervals_and_counts_are_shown():
    both = [FIRST, SECOND]
    # Wilson: 6 of 10 is .3127 to .8318, 9 of 10 is .5958 to .9821, 1 of 10 is .0179 to .4042, 0 of 10 is 0 to .2775
    assert shown(both, "accuracy %") == (["60.0 (10)", "90.0 (10)"], ["31.3–83.2", "59.6–98.2"])
    assert shown(both, "inconsistency rate %") == (["10.0 (10)", "0.0 (10)"], ["1.8–40.4", "0.0–27.8"])
    assert shown(both, "spatial grounding %")[0][0] == "–"
    assert shown(both, "response tokens")[0][1] == "10.0 (10)"


def test_what_could_not_be_measured_is_a_dash_never_a_zero():
    assert shown([UNJUDGED], "inconsistency rate %")[0] == ["–"]
    assert shown([UNJUDGED], "its bounds %")[0] == ["0.0–100.0"]
    assert shown([UNJUDGED], "semantic grounding %")[0] == ["–"]
    text = printed([UNJUDGED])
    assert [line.split()[-1] for line in text.splitlines() if "unjudged" in line] == ["100.0", "100.0"]


def test_further_rows_are_shown_under_their_checkpoint():
    extra = {"multiplier, consistency": {"after": "2.31"}}
    assert shown([FIRST, SECOND], "multiplier, consistency", extra)[0] == ["–", "2.31"]


def test_four_columns_fit_a_terminal_of_80():
    sampled = FIRST.model_copy(update={"mode": Mode.SAMPLED})
    text = printed([FIRST, sampled, SECOND, UNJUDGED], width=80)
    assert "60.0 (10)" in text
    assert "31.3–83.2" in text
    assert "…" not in text


def test_data_set_judge_and_checkpoints_are_named():
    text = " ".join(printed([FIRST, SECOND]).split())
    assert (
        "held-out: test.parquet, sha256 d; judge: oracle; "
        "checkpoints: before weights of before, after weights of after" in text
    )

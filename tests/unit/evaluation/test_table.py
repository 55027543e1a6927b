from rich.console import Console

from easyr1_fgrpo.evaluation.metrics import compare
from easyr1_fgrpo.evaluation.results import Mode
from easyr1_fgrpo.evaluation.table import comparison_table, results_markdown, results_table
from easyr1_fgrpo.judges.protocol import Label

from .test_metrics import item, result

FIRST = result(
    "before",
    [item(n, accurate=n < 6, consistency=Label.YES if n < 9 else Label.NO, tokens=10 + n) for n in range(10)],
)
SECOND = result("after", [item(n, accurate=n < 9, consistency=Label.YES, spatial_grounding=n / 10) for n in range(10)])
UNJUDGED = result("blind", [item(n, consistency=None, semantic_reason="JUDGE_UNREACHABLE") for n in range(4)])


def printed(table, width=100):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def cells(markdown, title):
    (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_numbers_intervals_and_counts_are_shown():
    markdown = results_markdown([FIRST, SECOND])
    assert markdown.splitlines()[0] == "|  | before, greedy | after, greedy |"
    # Wilson: 6 of 10 is .3127 to .8318, 9 of 10 is .5958 to .9821, 1 of 10 is .0179 to .4042, 0 of 10 is 0 to .2775
    assert cells(markdown, "accuracy %") == ["60.0 (10) 31.3–83.2", "90.0 (10) 59.6–98.2"]
    assert cells(markdown, "inconsistency rate %") == ["10.0 (10) 1.8–40.4", "0.0 (10) 0.0–27.8"]
    assert cells(markdown, "spatial grounding %")[0] == "–"
    assert cells(markdown, "response tokens")[1] == "10.0 (10)"


def test_what_could_not_be_measured_is_a_dash_never_a_zero():
    markdown = results_markdown([UNJUDGED])
    assert cells(markdown, "inconsistency rate %") == ["–"]
    assert cells(markdown, "  its bounds %") == ["0.0–100.0"]
    assert cells(markdown, "semantic grounding %") == ["–"]
    assert [line.split("|")[2].strip() for line in markdown.splitlines() if "unjudged" in line] == ["100.0", "100.0"]


def test_further_rows_are_shown_under_their_checkpoint():
    extra = {"multiplier, consistency": {"after": "2.31"}}
    assert cells(results_markdown([FIRST, SECOND], extra), "multiplier, consistency") == ["–", "2.31"]
    assert "2.31" in printed(results_table([FIRST, SECOND], extra))


def test_four_columns_fit_a_terminal_of_80():
    sampled = FIRST.inputs.model_copy(update={"mode": Mode.SAMPLED})
    results = [FIRST, FIRST.model_copy(update={"inputs": sampled}), SECOND, UNJUDGED]
    text = printed(results_table(results), width=80)
    assert "60.0 (10)" in text
    assert "31.3–83.2" in text
    assert "…" not in text


def test_differences_have_signs():
    text = printed(comparison_table(FIRST, SECOND, compare(FIRST, SECOND)))
    assert "after minus before, greedy" in text
    accuracy = next(line for line in text.splitlines() if "accuracy" in line)
    assert accuracy.split()[2:5] == ["60.0", "90.0", "+30.0"]
    assert accuracy.split()[-1] == "10"
    assert next(line for line in text.splitlines() if "semantic" in line).split()[-2:] == ["–", "0"]

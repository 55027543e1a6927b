from case_tables import read_cases

from easyr1_fgrpo.evaluation.scoring.score import read
from easyr1_fgrpo.evaluation.styles import STYLES

OPTIONS = ["left", "right", "in front", "behind"]


def test_reported_responses(subtests):
    for case in read_cases("responses"):
        with subtests.test(style=case.get("style", "cot"), response=case["input"]):
            style = STYLES[case.get("style", "cot")]
            parsed = read(case["input"], style, (), case.get("options", OPTIONS))
            assert (parsed.answer or "", parsed.trace or "") == (case["expected"], case["trace"])
            if "format" in case:
                assert parsed.well_formed == case["format"]

# TreeVGR in its published format; every known defect of the release has a test here.

import pytest
from prepared import info, prepare, reasons
from source_files import (
    picture,
    treevgr_record,
    write_treevgr,
)


@pytest.mark.parametrize(
    "asked",
    [
        "How many cars?\nA. 5\nB. 6\nC. 7",
        "How many cars?\n(A) 5\n(B) 6\n(C) 7\nPlease answer with the letter.",
        "How many cars? Options: A. 5 B. 6 C. 7",
        "How many cars?\nOptions:\nA) 5\nB) 6\nC) 7\nAnswer with the option's letter from the given choices directly.",
    ],
)
@pytest.mark.parametrize("answer", ["B", "(b)", "B.", "6"])
def test_treevgr_visdrone_options(tmp_path, asked, answer):
    record = treevgr_record("images/0.jpg", asked, answer, [[1, 1, 9, 9], [20, 20, 40, 40]])
    source = write_treevgr(tmp_path / "tree", [record], {"images/0.jpg": picture(0)})
    (row,), _ = prepare("treevgr", source, tmp_path / "out")
    assert (info(row, "question"), info(row, "choices")) == ("How many cars?", ["5", "6", "7"])
    assert (row["reward_model"]["ground_truth"], info(row, "dataset")) == ("6", "visdrone")
    assert info(row, "boxes") == [[1, 1, 9, 9], [20, 20, 40, 40]]


def test_treevgr_rows_that_cannot_be_used(tmp_path):
    records = [
        treevgr_record("images/0.jpg", "How many?", "(C)", []),
        treevgr_record("images/9.jpg", "What?", "cat", []),
        treevgr_record("images/0.jpg", "What?", "cat", [[50, 40, 10, 10]]),
        treevgr_record("images/0.jpg", "What?", "cat", [[90, 60, 10, 10]]),
    ]
    source = write_treevgr(tmp_path / "tree", records, {"images/0.jpg": picture(0)})
    (row,), rejects = prepare("treevgr", source, tmp_path / "out")
    assert info(row, "boxes") == [[10, 10, 90, 60]]
    assert reasons(rejects) == ["a letter without options", "missing image", "box cannot be used"]

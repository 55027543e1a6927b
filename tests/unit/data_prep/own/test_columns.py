"""`fgrpo data import` of columns and cells as other people write them."""

import base64
import unicodedata

from source_files import picture

from .imported import every, imported, jsonl, records, run


def test_a_hint_is_put_before_the_question(home):
    given = [*records(hint="The picture is mirrored.")[1:], *records(hint=None)[:1]]
    rows, _, shown = imported(home, jsonl(home, given))
    assert [row.extra_info.question for row in every(rows)][::5] == [
        "Hint: The picture is mirrored.\nNumber 1?",
        "Number 0?",
    ]
    assert "hint      column hint (by its name)" in shown
    rows, _, _ = imported(home, jsonl(home, given), "--hint", "none")
    assert every(rows)[0].extra_info.question == "Number 1?"


def test_options_under_numbers_are_named_by_their_numbers(home):
    def asked(options, *answers):
        given = zip(records(question=f"Which?\n{options}"), answers, strict=False)
        return jsonl(home, [row | {"answer": answer} for row, answer in given])

    rows, rejects, _ = imported(home, asked("1. red\n2. blue", 2, "(2)", "2. blue", "blue", "1", "1."))
    assert rejects == []
    assert [row.reward_model.ground_truth for row in every(rows)] == ["blue"] * 4 + ["red"] * 2
    rows, (reject,), _ = imported(home, asked("1) red\n2) 3\n3) up", "red", 1, "up", "3. up", 2, 3), "--val", "0.2")
    assert [row.reward_model.ground_truth for row in every(rows)] == ["red", "red", "up", "up", "3"]
    assert (reject["reason"], reject["row"]) == ("the number of an option and the text of another", 5)


def test_lists_in_cells_as_python_and_numpy_write_them(home):
    ways = {"['red' 'blue']": "red", "['red'\n 'blue']": "blue", "[1 2 3]": "2", "[0.5 1.5]": "1.5", "[1, 2]": "1"}
    given = [
        row | {"choices": way, "answer": answer} for row, (way, answer) in zip(records(), ways.items(), strict=False)
    ]
    rows, rejects, _ = imported(home, jsonl(home, given), "--answers", "text", "--val", "0.2")
    assert rejects == []
    assert [row.reward_model.ground_truth for row in every(rows)] == list(ways.values())
    boxes = jsonl(home, records(bbox="[[10.  5. 50. 20.]\n [ 0.  0. 10. 10.]]"))
    rows, _, _ = imported(home, boxes, "--box-form", "pixels")
    assert every(rows)[0].extra_info.boxes == ((10, 5, 50, 20), (0, 0, 10, 10))


def test_vlmevalkits_rows_share_pictures_by_index(home):
    """MMBench: rows in another order of options name the row with the picture."""
    encoded = [base64.b64encode(picture(n, 100, 50, "PNG")).decode() for n in range(4)]
    cells = ["index\tquestion\tA\tB\tanswer\timage", "1000003\tWhich?\tleft\tright\tA\t3"]
    cells += [f"{n}\tWhich?\tleft\tright\tB\t{file}" for n, file in enumerate(encoded)]
    (home / "mine.tsv").write_text("\n".join([*cells, "9\tWhich?\tleft\tright\tB\t8"]))
    rows, (reject,), _ = imported(home, home / "mine.tsv", "--val", "0.4")
    assert [row.images[0].data for row in every(rows)] == [picture(n, 100, 50, "PNG") for n in (3, 0, 1, 2, 3)]
    assert (reject["reason"], reject["detail"]) == ("missing image", "'8'")


def test_pictures_in_columns_of_their_own(home):
    """MMMU's `image_1` to `image_7`, and its marks."""
    asked = "Left or right of <image 1>?"
    given = [
        {"question": "<image 1><image_2> Same?", "answer": "no", "image_1": "0.png", "image_2": "1.png"},
        {"question": "<image 1> Red?", "answer": "no", "image_1": "2.png", "image_2": None},
        {"question": "Which?", "options": "['<image 1>', '<image 2>']", "answer": "A", "image_1": "3.png"},
        {"question": f"{asked} And below?", "answer": "no", "image_1": "3.png"},
        {"question": "<image 1> Red?", "answer": "no", "image_1": "4.png", "image_2": "5.png"},
    ]
    rows, rejects, shown = imported(home, jsonl(home, given), "--val", "0.4")
    assert [[image.data for image in row.images] for row in every(rows)] == [
        [picture(n, 100, 50, "PNG") for n in some] for some in ((0, 1), (2,))
    ]
    assert "image     column image_1,image_2 (by its name)" in shown
    assert [row.extra_info.question for row in every(rows)] == ["Same?", "Red?"]
    assert [reject["reason"] for reject in rejects] == [
        *("an image in an option", "an image inside the text", "marks and images differ in number"),
    ]


def test_options_that_are_missing_or_under_labels(home):
    ways = [
        {"A": "left", "B": "right", "C": "nan", "D": ""},
        {"choices": {"text": ["left", "right"], "label": ["A", "B"]}},
        {"choices": {"text": ["right", "left"], "label": ["B", "A"]}},
        {"choices": {"text": ["left", "right"], "label": ["1", "2"]}},
    ]
    for way in ways:
        rows, rejects, _ = imported(home, jsonl(home, records(answer="B", hint="nan", **way)))
        assert (rejects, {row.reward_model.ground_truth for row in every(rows)}) == ([], {"right"}), way
        assert {row.extra_info.choices for row in every(rows)} == {("left", "right")}
        assert every(rows)[0].extra_info.question == "Number 0?"


def test_options_under_another_name_are_asked_about(home):
    """SAT's own columns."""
    given = [row | {"correct_answer": row.pop("answer"), "answers": ["red", "blue"]} for row in records()]
    done, _ = run(home, jsonl(home, given))
    assert "column answers holds lists with the answer in them: say --choices answers, or none" in done.stderr
    rows, _, _ = imported(home, jsonl(home, given), "--choices", "answers")
    assert every(rows)[0].extra_info.choices == ("red", "blue")
    many = [row | {"answers": ["red", "Red", "red"]} for row in records()]
    assert every(imported(home, jsonl(home, many))[0])[0].extra_info.choices == ()


def test_pictures_are_found_by_what_other_systems_call_them(home):
    (home / "images" / "meine bilder").mkdir()
    (home / "images" / "meine bilder" / unicodedata.normalize("NFD", "größe 1.png")).write_bytes(picture(7, form="PNG"))
    named = ["meine bilder\\größe 1.png", ".\\1.png", 2.0, base64.b64encode(picture(3, 100, 50, "PNG")).decode()]
    rows, rejects, _ = imported(home, jsonl(home, [records()[0] | {"image": name} for name in named]), "--val", "0.3")
    held = [picture(7, form="PNG"), *(picture(n, 100, 50, "PNG") for n in (1, 2, 3))]
    assert [row.images[0].data for row in every(rows)] == held
    assert rejects == []
    bad = ["https://x.org/1.png", "..\\..\\x.png", "A" * 1001]
    _, rejects, _ = imported(home, jsonl(home, [*records(), *(records()[0] | {"image": name} for name in bad)]))
    reasons = ["unreadable image", "image path leaves the folder", "unreadable image"]
    assert [reject["reason"] for reject in rejects] == reasons


def test_options_that_are_letters_are_asked_about(home):
    """ScienceQA has `B, D, E, A, C`: the text of one option is the letter of another."""
    file = jsonl(home, records(answer="C", choices=["B", "C", "A"]))
    done, _ = run(home, file)
    assert "answers like 'C' may be read as the option's text or its letter, and name other options" in done.stderr
    for said, right in (("text", "C"), ("letter", "A")):
        rows, _, _ = imported(home, file, "--answers", said)
        assert {row.reward_model.ground_truth for row in every(rows)} == {right}
    late = [*records(answer="A", choices=["red", "blue"]) * 34, *records(answer="B", choices=["B", "C"])]
    rows, _, shown = imported(home, jsonl(home, late), "--val", "0.2")
    assert "answers are the option's letter (fits 200 of 200 looked at)" in shown
    assert [row.reward_model.ground_truth for row in every(rows)][-6:] == ["C"] * 6

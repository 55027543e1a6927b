"""Bad rows of a run on EasyR1 are named before it starts: file, row, EasyR1's column, what is wrong."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from easyr1_fgrpo.easyr1_plugin.row_checks import first_samples, row_notes, row_problems, word_problems
from easyr1_fgrpo.easyr1_plugin.rows import Rows

from .test_rows import KEYS, OURS, RED, THEIRS, file_of


class Table(list):
    """A data set of datasets."""

    @property
    def column_names(self):
        return list(self[0]) if self else []


def config_of(**data):
    known = {
        "train_files": "train.jsonl",
        "prompt_key": "problem",
        "answer_key": "answer",
        "format_prompt": None,
        "rollout_batch_size": 1,
        "mini_rollout_batch_size": None,
        "max_prompt_length": 64,
        "min_pixels": None,
        "max_pixels": 28 * 28 * 8,
        "filter_overlong_prompts": False,
    }
    fgrpo = {"constraint_keys": ["consistency"]}
    worker = {"rollout": {"limit_images": 1}, "actor": {"model": {"model_path": "me/model"}}}
    return OmegaConf.create({"data": known | data, "fgrpo": fgrpo, "worker": worker})


def problems(*rows, config=None, keys=KEYS):
    return row_problems(config or config_of(), "train_files", Rows(Table(rows), keys, "train"), 14)


def test_rows_as_they_should_be():
    assert problems(THEIRS, THEIRS) == []
    assert problems(OURS) == []
    assert problems({"problem": "1 + 1?", "answer": 2}) == []
    assert problems(THEIRS | {"images": [file_of(RED)]}) == []  # bytes alone, as EasyR1 reads them, too


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"problem": "Where is it?"}, "the prompt has 0 <image> marks for 1 images"),
        ({"problem": "<image>"}, "problem: is blank"),
        ({"answer": " "}, "answer: is blank"),
        ({"answer": "."}, "answer '.' says nothing: no answer could match it"),
        ({"answer": "five", "choices": ["three", "four"]}, "answer 'five' is none of the choices ['three', 'four']"),
        ({"answer": "A", "choices": ["A", "a"]}, "choices: 'A' and 'a' are the same answer"),
        ({"boxes": [[0, 0, 101, 60]]}, "box [0, 0, 101, 60] is not a box inside the image of 100 x 60 pixels"),
        ({"boxes": [[0, 0, 50]]}, "boxes.0.3: Field required"),
        ({"images": [{"bytes": file_of(RED)[:90], "path": None}]}, "unreadable image ("),
        ({"images": [{"bytes": None, "path": "red.png"}]}, "unreadable image (no bytes, and a path beside them is not"),
        ({"images": ["gone.png"]}, "gone.png"),
        ({"problem": "<image><image>?", "images": THEIRS["images"] * 2}, "2 images, and worker.rollout.limit_images=1"),
        ({"videos": ["film.mp4"]}, "row 1: it has videos, and FGRPO's judges look at pictures only"),
    ],
)
def test_a_bad_row_is_named(change, said):
    row = THEIRS | {"choices": None, "boxes": None, "videos": None}
    (line,) = problems(row, row | change, row)
    assert line.startswith("data.train_files=train.jsonl row 1: "), line
    assert said in line
    assert "reward_model" not in line
    assert "extra_info" not in line
    assert "\n" not in line


def test_rows_of_one_cause_are_one_line():
    bad = THEIRS | {"answer": ""}
    (line,) = problems(THEIRS, bad, bad, bad)
    assert line == "data.train_files=train.jsonl row 1: answer: is blank (and 2 more like it)"


def test_files_without_rows_columns_or_boxes():
    assert problems() == ["data.train_files=train.jsonl: it holds no rows"]
    (line,) = problems({"question": "?", "solution": "1"})
    said = "no column problem (data.prompt_key), answer (data.answer_key); it has question, solution"
    assert line == f"data.train_files=train.jsonl: {said}"
    (line,) = problems({key: value for key, value in OURS.items() if key != "prompt"})
    assert line.startswith("data.train_files=train.jsonl: no column prompt; it has data_source")
    (line,) = problems(THEIRS, config=config_of(rollout_batch_size=2))
    assert line.startswith("data.rollout_batch_size=2: data.train_files=train.jsonl holds 1 rows, and EasyR1 drops")
    assert problems(THEIRS, config=config_of(rollout_batch_size=2, mini_rollout_batch_size=1)) == []
    spatial = config_of()
    spatial.fgrpo.constraint_keys = ["consistency", "spatial_grounding"]
    (line,) = problems(THEIRS, config=spatial)
    assert line.endswith("leave it out: fgrpo.constraint_keys=[consistency]")
    assert problems(THEIRS, THEIRS | {"boxes": [[0, 0, 9, 9]]}, config=spatial) == []


def test_a_prompt_that_does_not_fit_is_named_unless_such_are_left_out(tmp_path):
    long = THEIRS | {"problem": f"<image>{'why ' * 60}?"}
    (line,) = problems(THEIRS, long)
    assert line.startswith(
        "data.max_prompt_length=64: 1 of 2 rows of data.train_files=train.jsonl may not fit, row 1 with"
    )
    assert problems(THEIRS, long, config=config_of(filter_overlong_prompts=True)) == []
    assert "about 100 tokens" in problems(THEIRS, config=config_of(min_pixels=28 * 28 * 96, max_pixels=None))[0]
    template = tmp_path / "format.jinja"
    template.write_text(f"{'word ' * 60} {{{{ content }}}}")
    assert "may not fit, row 0" in problems(THEIRS, config=config_of(format_prompt=str(template)))[0]
    (line,) = problems(OURS, config=config_of(format_prompt=str(template)))
    assert line.startswith(f"data.format_prompt={template}: the rows of data.train_files=train.jsonl have a `prompt`")


def test_rows_that_ask_for_no_form_are_named():
    theirs, ours = (Rows(Table([row]), KEYS, "train") for row in (THEIRS, OURS))
    (line,) = row_notes(config_of(), theirs)
    assert line.startswith("data.format_prompt=null: nothing asks for the form")
    assert list(row_notes(config_of(format_prompt="x.jinja"), theirs)) == list(row_notes(config_of(), ours)) == []


def test_the_first_row_is_what_judges_are_asked_about():
    rows = Rows(Table([THEIRS | {"choices": ["3", "4"]}, THEIRS | {"answer": "7", "choices": []}]), KEYS, "train")
    first, answers = first_samples(rows)
    assert (first.question, first.choices, first.ground_truth) == ("Where is it?", ("3", "4"), "4")
    assert (first.images[0].size, answers) == ((100, 60), ["4", "7"])
    assert first_samples(Rows(Table([{"problem": "1 + 1?", "answer": "2"}]), KEYS, "train"))[0].images == ()


def test_pictures_in_a_folder(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    named = SimpleNamespace(**{**vars(KEYS), "image_dir": str(tmp_path)})
    assert problems(THEIRS | {"images": ["red.png"]}, keys=named) == []


def test_words_that_the_tokenizer_does_not_know(tmp_path):
    config, rows = config_of(), Rows(Table([THEIRS]), KEYS, "train")
    assert list(word_problems(config, rows)) == []  # the model is not here
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "is": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config.worker.actor.model.model_path = str(tmp_path)
    (line,) = word_problems(config, rows)
    assert line.startswith(
        f"worker.actor.model.model_path={tmp_path}: 80% of the tokens of data.train_files=train.jsonl"
    )

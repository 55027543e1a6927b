import pytest

from easyr1_fgrpo.evaluation.answers.models import parse_address, parse_models
from easyr1_fgrpo.model_client.client import Address

ONE, TWO = "http://one:8000/v1", "https://two/v1"


def test_urls_style_name_and_key():
    (spec,) = parse_models([f"mine={ONE}/,{TWO},cot,served=org/model,key=MY_KEY"])
    assert (spec.name, spec.style.name, spec.folder) == ("mine", "cot", None)
    assert spec.address == Address((ONE, TWO), "MY_KEY", "org/model")


def test_a_folder_and_our_style_when_none_is_named(checkpoint):
    (spec,) = parse_models([f"mine={checkpoint}"])
    assert (spec.style.name, spec.address, spec.folder) == ("ours", None, checkpoint)


def test_what_cannot_be_read_is_named(subtests):
    for texts, said in [
        ([ONE], "write NAME=URL"),
        (["=x"], "write NAME=URL"),
        ([f"a/b={ONE}"], "write NAME=URL"),
        (["a="], "write NAME=URL"),
        ([f"a={ONE}", f"a={TWO}"], "two models are called 'a'"),
        ([f"a={ONE},cot,direct"], "at most one style of ours, ours_thousand, bare, trained"),
        ([f"a={ONE},nostyle"], "at most one style of ours, ours_thousand, bare, trained"),
        (["a=cot"], "name URLs or one checkpoint folder"),
        (["a=/nowhere"], "/nowhere: no such checkpoint folder; styles are ours"),
        (["a=/nowhere,served=x"], "served= is for a URL"),
    ]:
        with subtests.test(texts=texts), pytest.raises(ValueError, match=said):
            parse_models(texts)


def test_a_secret_in_a_url_is_refused_without_being_shown():
    for url in ("http://me:sesame@host/v1", "http://host/v1?key=sesame"):
        with pytest.raises(ValueError, match="name a key by key=VARIABLE") as refused:
            parse_models([f"a={url}"])
        assert "sesame" not in str(refused.value)


def test_a_scorer_is_an_address():
    assert parse_address(f"{ONE},served=m") == Address((ONE,), "", "m")
    for text in ("", "cot", f"{ONE},cot"):
        with pytest.raises(ValueError, match="write URL"):
            parse_address(text)

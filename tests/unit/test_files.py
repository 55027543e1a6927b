import pytest

from easyr1_fgrpo.files import whole_folder


def fail_in(folder):
    (folder / "half").touch()
    raise RuntimeError


def test_a_folder_that_failed_leaves_nothing_half_written_and_the_earlier_one(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "earlier").touch()
    with pytest.raises(RuntimeError), whole_folder(out, replace=True) as folder:
        fail_in(folder)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/earlier"]

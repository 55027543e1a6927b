"""Every relative link of a page, and every anchor in it, leads somewhere."""

import re
from pathlib import Path

from .pages import PAGES, ROOT, anchors, targets


def dead_links(page: Path) -> list[str]:
    dead = []
    for target in targets(page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        aim = (page.parent / name).resolve() if name else page
        if not aim.exists():
            dead.append(f"{page.name}: {target}: no such file")
        elif anchor and anchor not in anchors(aim.read_text()):
            dead.append(f"{page.name}: {target}: no such heading")
    return dead


def test_links_and_anchors_resolve():
    assert [line for page in PAGES for line in dead_links(page)] == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    links = "[a](#one-page) [b](#other) [c](gone.md) ![d](gone.svg)"
    page.write_text(f"# One page\n\n{links}\n\n```text\n[e](no_link)\n```\n")
    assert [line.split(": ")[1] for line in dead_links(page)] == ["#other", "gone.md", "gone.svg"]


def test_files_that_are_named_exist():
    """Paths of the checkout in text and code; results, which pages draw from, and what commands write are not meant."""
    folders = "data_prep|docker|docs|easyr1_fgrpo|recipes|reward_servers|tests"
    named = re.compile(rf"(?<![\w/.])(?:{folders})/[\w./-]*\w\.(?:sh|py|md|jinja|yaml|txt|svg|png)\b")
    found = {(page.name, name) for page in PAGES for name in named.findall(page.read_text())}
    assert len(found) > 40
    assert {(page, name) for page, name in found if not (ROOT / name).exists()} == set()


def test_every_page_of_docs_is_in_its_index():
    index = ROOT / "docs" / "README.md"
    assert {page.name for page in PAGES if page.parent == ROOT / "docs"} - {"README.md"} <= set(
        targets(index.read_text())
    )

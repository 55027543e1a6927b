"""The report in a real browser: read off, filtered, compared, by keyboard only, in the dark, and under hostile text."""

import json

import pytest
from headless import chromium, opened
from unit.report import hostile, runs

from easyr1_fgrpo.report.page import write_page
from easyr1_fgrpo.report.run_files import read_run
from easyr1_fgrpo.trace_index import index_traces

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def browser(path):
    """Started after the runs are written: playwright runs an event loop in this thread, and so does their writer."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for arm in ("fgrpo", "grpo_t"):
        runs.write_run(folder / f"{arm}-s0", arm, steps=20, traces=24, questions=16)
    return folder


@pytest.fixture(scope="module")
def path(folder):
    write_page([folder / "fgrpo-s0", folder / "grpo_t-s0"], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def records(folder):
    """All records on the page."""
    found = []
    for run in (read_run(folder / "fgrpo-s0"), read_run(folder / "grpo_t-s0")):
        found += index_traces(run.trace_files).records()
        for evaluation in run.evaluations:
            found += index_traces([evaluation.trace_file]).records()
    return found


@pytest.fixture
def seen(browser, path):
    """The page, which must not complain and must not ask for anything but itself."""
    with opened(browser, path) as watched:
        yield watched.page
    assert watched.errors == []
    assert watched.requests == [path.resolve().as_uri()]


def show(page, tab):
    """The tab; of the traces all."""
    page.click(f"#tab-{tab}")
    if tab == "traces":
        page.wait_for_selector("#details article")
        page.click("text=Show all")
        page.wait_for_function("() => (([n, , m]) => n === m)(document.querySelector('#count').textContent.split(' '))")


def count(page):
    return int(page.inner_text("#count").split()[0].replace(",", ""))


# ---------------------------------------------------------------------- numbers


def test_the_overview_shows_the_files_numbers(seen, folder):
    head = seen.locator("#evaluations thead th").all_inner_texts()
    rows = seen.locator("#evaluations tbody tr:not(.place):not(.difference)").all()
    for row in rows:
        what, run, _, *cells = row.locator("th, td").all_inner_texts()
        when, _, mode = what.partition(", ")
        results = json.loads((folder / run.strip() / "evaluation" / "results.json").read_text())["results"]
        label = when.replace(" ", "_")
        metrics = next(r["metrics"] for r in results if (r["model"], r["mode"]) == (label, mode))
        for title, cell in zip(head[3:], cells, strict=True):
            if title == "accuracy %" or title.endswith("grounding %"):
                measured = metrics[title.removesuffix(" %").replace(" ", "_")]
                assert cell.split()[0] == f"{100 * measured['value']:.1f}"
                assert f"({measured['n']})" in cell
    assert len(rows) == 8
    assert seen.locator("#verdicts > li").count() == 2
    seen.locator("#overview .chart .main-svg").first.wait_for()
    assert [text.split(",")[0] for text in seen.locator("#overview figcaption").all_inner_texts()] == [
        "Accuracy and faithful accuracy", "Constraints", "Multipliers"
    ]  # fmt: skip


def test_charts_are_drawn_when_their_tab_is_shown_and_hold_the_files_numbers(seen, folder):
    assert seen.locator("#training .main-svg").count() == 0
    show(seen, "training")
    seen.locator("#training .chart .main-svg").first.wait_for()
    curves = "[...document.querySelector('#training .chart').data].map(({name, x, y}) => [name, [...x], [...y]])"
    drawn = seen.evaluate(curves)
    lines = [json.loads(line) for line in (folder / "fgrpo-s0" / "metrics.jsonl").read_text().splitlines()][1:]
    name, steps, scores = drawn[0]
    assert (name, steps) == ("fgrpo-s0", list(range(1, 21)))
    assert scores == [line["metrics"]["fgrpo/consistency/score"] for line in lines]
    assert drawn[1][0] == "fgrpo-s0: threshold"
    assert set(drawn[1][2]) == {0.95}
    last = seen.locator("#training .chart").last
    assert last.locator(".main-svg").count() == 0
    last.scroll_into_view_if_needed()
    last.locator(".main-svg").first.wait_for()
    # smoothed: the curve itself stays, pale, below its running mean
    seen.select_option("#smoothing", "5")
    seen.wait_for_function("n => document.querySelector('#training .chart').data.length > n", arg=len(drawn))
    raw, mean = seen.evaluate(curves)[:2]
    assert raw == [name, steps, scores]
    assert mean[2][10] == pytest.approx(sum(scores[8:13]) / 5)
    assert mean[2][0] == pytest.approx(sum(scores[:3]) / 3)


def test_sections_fold_and_have_addresses(seen):
    show(seen, "training")
    assert not seen.locator("#judges > .charts").is_visible()
    seen.click("nav.anchors a[href='#judges']")
    seen.locator("#judges .chart .main-svg").first.wait_for()
    show(seen, "overview")
    seen.goto(f"{seen.url.partition('#')[0]}#groups-without-variance")
    seen.locator("#groups-without-variance .chart .main-svg").first.wait_for()


def test_the_front_and_the_benchmarks_are_drawn(seen):
    show(seen, "faithfulness")
    seen.locator("#faithfulness .chart .main-svg").first.wait_for()
    titles = seen.locator("#faithfulness figcaption").all_inner_texts()
    assert "Accuracy %" in titles
    assert any("before and after RL" in title for title in titles)


def test_config_differences_are_shown_and_keys_are_found(seen):
    show(seen, "config")
    assert seen.locator("#differences tbody th").all_inner_texts()[0] == "arm"
    assert seen.locator("#differences tbody tr").first.locator("td").all_inner_texts() == ['"fgrpo"', '"grpo_t"']
    rows = seen.locator("#config details tbody tr")
    total = rows.count()
    assert seen.inner_text("#config-count") == f"{total} of {total} keys"
    assert not rows.first.is_visible()
    seen.fill("#config-search", "MAX")
    found = [row for row in rows.all() if row.is_visible()]
    assert [row.locator("th").inner_text() for row in found] == ["fgrpo.dual.lambda_max"]
    assert seen.inner_text("#config-count") == f"1 of {total} keys"


# ---------------------------------------------------------------------- traces


def test_the_traces_open_on_right_answers_after_rl_that_their_trace_does_not_entail(seen):
    seen.click("#tab-traces")
    seen.wait_for_selector("#details article")
    chosen = seen.evaluate("[...document.querySelectorAll('#filters select')].map((s) => s.selectedOptions[0].text)")
    assert chosen == ["any", "held-out, after_RL, sampled", "any", "right", "inconsistent", "any", "any"]
    assert 0 < count(seen) < 33
    assert "✓ right answer" in seen.inner_text("#details .badges")
    assert "✗ inconsistent" in seen.inner_text("#details .badges")


def test_nothing_is_cut_or_wider_than_the_screen(browser, path):
    for width in (1360, 390):
        with opened(browser, path, viewport={"width": width, "height": 900}) as watched:
            page = watched.page
            for tab in ("overview", "training", "faithfulness", "config", "traces"):
                show(page, tab)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (tab, width)
            assert cut_badges(page) == []
            assert page.locator("#list .badge").count() > 10


def cut_badges(page):
    """Badges in the list that reach beyond it."""
    return page.evaluate("""() => {
        const edge = document.querySelector("#list").getBoundingClientRect().right;
        const beyond = (badge) => badge.getBoundingClientRect().right > edge;
        return [...document.querySelectorAll("#list .badge")].filter(beyond).map((badge) => badge.textContent);
    }""")


def test_filters_count_what_the_records_say(seen, records):
    show(seen, "traces")
    assert count(seen) == len(records)
    wrong = [record for record in records if record.signals["accuracy"].value == 0.0]
    inconsistent = [
        record for record in records if record.consistency and record.consistency.label in ("NO", "UNCERTAIN")
    ]
    ungrounded = [
        record
        for record in records
        if any(sentence.verdict and sentence.verdict.label == "INCORRECT" for sentence in record.sentences)
    ]
    for field, value, expected in (
        ("answer", "wrong", wrong),
        ("conclusion", "inconsistent", inconsistent),
        ("grounding", "ungrounded", ungrounded),
    ):
        seen.select_option(f"[name={field}]", value)
        assert count(seen) == len(expected) > 0
        seen.select_option(f"[name={field}]", "")
    seen.select_option("[name=set]", label="train")
    seen.select_option("[name=step]", label="1")
    assert count(seen) == sum(record.split == "train" and record.step == 1 for record in records)
    seen.click("text=Show all")
    seen.wait_for_function(
        "total => document.querySelector('#count').textContent.startsWith(total)", arg=str(len(records))
    )
    seen.fill("[name=search]", "ABOVE or below")
    texts = ["\n".join([record.question, *record.choices, record.response]).lower() for record in records]
    assert count(seen) == sum("above or below" in text for text in texts)
    seen.fill("[name=search]", "no such text anywhere")
    assert count(seen) == 0
    assert seen.locator("#details article").count() == 0


def test_a_sentence_lights_up_its_boxes_and_shows_its_verdict(seen):
    show(seen, "traces")
    seen.select_option("[name=grounding]", "ungrounded")
    article = seen.locator("#details article").first
    sentence = article.locator(".sentence", has_text="<bbox>").first
    assert article.locator("g.box.lit").count() == 0
    sentence.hover()
    lit = [shape.get_attribute("data-name") for shape in article.locator("g.box.lit").all()]
    assert [name for name in lit if name.startswith("P")] == ["P1"]
    assert "oracle" in article.locator(".word").inner_text()
    seen.mouse.move(0, 0)
    assert article.locator("g.box.lit").count() == 0
    sentence.focus()
    assert article.locator("g.box.lit").count() >= 1
    marked = article.locator(".sentence[data-state=ungrounded]")
    assert marked.count() > 0
    assert marked.first.get_attribute("data-symbol") == "✗"


def test_boxes_lie_where_the_record_says(seen, records):
    show(seen, "traces")
    seen.select_option("[name=set]", label="train")
    first = next(record for record in records if record.split == "train" and record.boxes)
    shapes = seen.locator("#details article").first.locator("rect.predicted, rect.reference")
    found = {
        tuple(float(shape.get_attribute(side)) for side in ("x", "y", "width", "height")) for shape in shapes.all()
    }
    boxes = [*first.boxes, *first.reference_boxes]
    assert found == {(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes}
    image = seen.locator("#details article img").first
    assert image.evaluate("one => one.complete && one.naturalWidth") == 84
    assert seen.locator("#details article svg").first.get_attribute("viewBox") == "0 0 84 84"


def test_two_runs_on_the_same_question_stand_next_to_each_other(seen, records):
    show(seen, "traces")
    seen.select_option("[name=source]", label="fgrpo-s0")
    seen.select_option("[name=differs]", label="grpo_t-s0")
    assert 0 < count(seen) < len(records)
    articles = seen.locator("#details article")
    assert articles.count() == 2
    assert [text.split(" · ")[0] for text in articles.locator("h2").all_inner_texts()] == ["fgrpo-s0", "grpo_t-s0"]
    questions = [article.locator("p.text").first.inner_text() for article in articles.all()]
    assert questions[0] == questions[1]
    badges = [article.locator(".badges").inner_text() for article in articles.all()]
    assert badges[0] != badges[1]
    seen.select_option("#beside", "")
    assert articles.count() == 1


def test_by_keyboard_only(seen):
    press = seen.keyboard.press
    press("Tab")  # the theme
    press("Tab")  # the tabs
    assert seen.evaluate("document.activeElement.id") == "tab-overview"
    assert seen.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(3):
        press("ArrowRight")
    seen.wait_for_selector("#details article")
    assert seen.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    for _ in range(30):
        press("Tab")
        if seen.evaluate("document.activeElement.id") == "list":
            break
    assert seen.evaluate("document.activeElement.getAttribute('role')") == "listbox"
    first = seen.locator("#details article").first.get_attribute("data-position")
    press("ArrowDown")
    assert seen.locator("#details article").first.get_attribute("data-position") != first
    active = seen.get_attribute("#list", "aria-activedescendant")
    assert seen.get_attribute(f"#{active}", "aria-selected") == "true"
    press("End")
    last = seen.get_attribute("#list", "aria-activedescendant")
    assert seen.get_attribute(f"#{last}", "aria-posinset") == seen.get_attribute(f"#{last}", "aria-setsize")
    press("Tab")  # next to it
    press("Tab")  # the response's first sentence, or the response itself where it scrolls
    for _ in range(3):
        if "sentence" in (seen.evaluate("document.activeElement.className") or ""):
            break
        press("Tab")
    assert seen.evaluate("document.activeElement.className") == "sentence"


# ---------------------------------------------------------------------- themes


def test_light_and_dark(browser, path):
    for scheme in ("light", "dark"):
        with opened(browser, path, color_scheme=scheme) as watched:
            page = watched.page
            show(page, "training")
            page.locator("#training .chart .main-svg").first.wait_for()
            before = background(page), ink(page)
            page.click("#theme")
            page.wait_for_function(
                "before => document.querySelector('#training .chart').layout.font.color !== before", arg=before[1]
            )
            after = background(page), ink(page)
            light, dark = (before, after) if scheme == "light" else (after, before)
            assert light[0] == "rgb(255, 255, 255)"
            assert dark[0] == "rgb(20, 23, 28)"
            assert light[1] != dark[1]
        assert watched.errors == []


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def ink(page):
    return page.evaluate("document.querySelector('#training .chart').layout.font.color")


# ---------------------------------------------------------------------- other pages


def test_a_hostile_page_is_inert(browser, tmp_path):
    run = hostile.write_hostile_run(tmp_path / "<b>hostile</b>")
    write_page([run], tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as watched:
        page = watched.page
        for tab in ("overview", "training", "faithfulness", "config", "traces"):
            show(page, tab)
        assert count(page) == 500
        assert cut_badges(page) == []  # unjudged ones, with the longest names
        page.focus("#list")
        for _ in range(len(hostile.TEXTS)):
            page.keyboard.press("ArrowDown")
            for sentence in page.locator("#details .sentence").all():
                sentence.dispatch_event("mouseenter")
        page.keyboard.press("End")
        page.fill("[name=search]", "<script>")
        assert count(page) > 0
        assert "<script>window.hacked = 1</script>" in page.inner_text("#traces")
        page.wait_for_timeout(200)
        assert page.evaluate("typeof window.hacked") == "undefined"
        assert page.locator("#details script, #details iframe, #details a, #details style").count() == 0
        assert page.evaluate("Object.prototype.position") is None
    assert watched.errors == []
    assert watched.requests == [(tmp_path / "report.html").resolve().as_uri()]


def test_an_injected_script_would_not_run(browser, path):
    """The policy itself: what would happen if some text became an element all the same."""
    with opened(browser, path) as watched:
        watched.page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            const image = document.createElement("img");
            image.setAttribute("onerror", "window.hacked = 1");
            image.src = "https://evil.example/x.png";
            document.body.append(script, image);
        }""")
        watched.page.wait_for_timeout(300)
        assert watched.page.evaluate("typeof window.hacked") == "undefined"
    assert sum("Content Security Policy" in error for error in watched.errors) >= 2


def test_linked_images_are_loaded_from_the_run(browser, folder):
    out = folder / "linked.html"
    write_page([folder / "fgrpo-s0"], out, link_images=True)
    with opened(browser, out) as watched:
        show(watched.page, "traces")
        image = watched.page.locator("#details article img").first
        watched.page.wait_for_function("document.querySelector('#details article img').naturalWidth === 84")
        assert image.get_attribute("src").startswith("fgrpo-s0/evaluation/images/")  # it opens on held-out questions
    assert watched.errors == []
    assert all(url.startswith(folder.resolve().as_uri()) for url in watched.requests)


def test_a_run_without_traces_and_metrics_opens_and_says_so(browser, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("arm: fgrpo\n")
    write_page([run], tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as watched:
        assert "metrics.jsonl: missing" in watched.page.inner_text("#problems")
        show_only(watched.page, "training")
        assert "Nothing of this kind was measured" in watched.page.inner_text("#training")
        show_only(watched.page, "traces")
        assert "no traces" in watched.page.inner_text("#traces")
    assert watched.errors == []


def show_only(page, tab):
    page.click(f"#tab-{tab}")

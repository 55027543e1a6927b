from easyr1_fgrpo.evaluation.styles import STYLES, Parsed


def test_ours_is_the_grammar_of_training():
    for response, parsed in [
        (
            "<think>It <bbox>[1,2,3,4]</bbox> is left.</think><answer>left</answer>",
            Parsed("It <bbox>[1,2,3,4]</bbox> is left.", "left", ((1, 2, 3, 4),), format_ok=True, n_boxes=1),
        ),
        (
            "<think>a<bbox>?</bbox></think><answer>b</answer><answer>c</answer>",
            Parsed("a<bbox>?</bbox>", "c", n_boxes=1),
        ),
        ("left", Parsed(None, None, n_boxes=0)),
    ]:
        for style in ("ours", "ours_thousand", "bare"):
            assert STYLES[style].parse(response) == parsed, response


def test_direct_has_an_answer_and_no_trace():
    for response, answer, format_ok in [
        ("B", "B", True),
        (" left\n", "left", True),
        ("**B**", "B", False),
        ("The answer is B.", "B", False),
        ("B.", "B", True),
        ("Answer: B", "B", False),
        (r"\boxed{B}", "B", False),
        ("<think>why</think><answer>B</answer>", "B", False),
        ("", None, False),
        ("** **", None, False),
    ]:
        assert STYLES["direct"].parse(response) == Parsed(None, answer, format_ok=format_ok), response


def test_chain_of_thought_ends_with_an_announced_answer():
    for response, trace, answer, format_ok in [
        ("The lamp is left.\nAnswer: A", "The lamp is left.", "A", True),
        ("The lamp is left.\n**Answer:** A. left\n", "The lamp is left.", "A. left", True),
        ("Answer: A? No.\nIt is right.\nAnswer: B", "Answer: A? No.\nIt is right.", "B", True),
        ("The answer is clear.\nAnswer: B\nHope this helps.", "The answer is clear.", "B", False),
        ("It is left, so the answer is A", "It is left", "A", True),
        ("Answer: B", None, "B", False),
        ("It is left. <answer>A</answer>", "It is left.", "A", False),
        (r"It is left. \boxed{A}", "It is left.", "A", False),
        ("Answer:\n\n\n", "Answer:", None, False),
        ("I do not know", "I do not know", None, False),
        ("", None, None, False),
    ]:
        assert STYLES["cot"].parse(response) == Parsed(trace, answer, format_ok=format_ok), response

# How the five baselines answer, odd cases included: each example is a response, and what it says.

from easyr1_fgrpo.evaluation.styles import STYLES, Parsed


def check(style, response, trace, answer, format_ok, **found):
    assert STYLES[style].parse(response) == Parsed(trace, answer, format_ok=format_ok, **found)


def test_r1_onevision(subtests):
    for response, trace, answer, format_ok in [
        # the RL model: both sections
        ("<think>The cat is left.</think>\n<answer>A</answer>", "The cat is left.", "A", True),
        ("<think>Twice.</think><answer>A</answer> no, <answer>B</answer>", "Twice.", "A", True),  # the first wins
        (r"<think>So.</think><answer>The area is \boxed{12}.</answer>", "So.", "12", True),
        ("<think>So.</think><answer>The answer is (C)</answer>", "So.", "(C)", True),
        # the supervised model: free reasoning with or without think tags, then a final answer in words
        ("<think>\nThe red one is near.\n</think>\n\n**Final Answer:** B", "The red one is near.", "B", True),
        (
            "It is near the door.\n\n### Final Answer:\nB. the chair",
            "It is near the door.",
            "B. the chair",
            True,
        ),
        ("<think>Two plus two.</think>\n\n**Final Answer**\n\n\\boxed{4}", "Two plus two.", "4", True),
        (
            "First left. Answer: A. Wait, it is right.\nFinal answer: B",
            "First left. Answer: A. Wait, it is right.",
            "B",
            True,
        ),
        ("<think>Left.</think>\nThe correct answer is A. left.", "Left.", "A. left", True),
        ("<think>Left.</think>\nB", "Left.", "B", False),  # nothing marks it
        ("<think>Left of it. Final Answer: left", "Left of it.", "left", True),  # the closing tag is missing
        ("<think>I go on and on", "I go on and on", None, False),  # cut off
        ("<think>It says `<answer>` here.</think><answer>A</answer>", "It says `<answer>` here.", "A", True),
        ("<think>x</think>", "x", None, False),
        ("最终 Final Answer： 猫", "最终", "猫", True),
        ("", None, None, False),
        ("  \n ", None, None, False),
    ]:
        with subtests.test(response=response):
            check("r1_onevision", response, trace, answer, format_ok)


def test_vision_r1(subtests):
    for response, trace, answer, format_ok in [
        ("<think>It is left.</think> <answer> Final Answer:A </answer>", "It is left.", "A", True),
        (
            "<think>\nIt is left.\n</think>\n<answer>\n**Final Answer:** B. left\n</answer>",
            "It is left.",
            "B. left",
            True,
        ),
        ("<think>x</think><answer> Final Answer: $\\text{C}$ </answer>", "x", "C", True),
        ("<think>x</think><answer>D</answer>", "x", "D", False),  # not announced
        ("<think>x</think> <answer>hm</answer> <answer> Final Answer:A </answer>", "x", "A", False),
        ("<think>x</think> <answer> Final Answer:A </answer><answer> Final Answer:B </answer>", "x", "A", False),
        ("<think>x</think>\nFinal Answer: B", "x", "B", False),  # outside of tags
        (
            "<think>Hmm. Wait, Final Answer: A? No.</think> <answer> Final Answer:B",
            "Hmm. Wait, Final Answer: A? No.",
            "B",
            False,
        ),
        ("It is left. <answer> Final Answer:A </answer>", "It is left.", "A", False),  # no think tags
        ("<think>It is left <answer> Final Answer:A </answer>", "It is left", "A", False),  # no closing one
        ("<think>x</think> <answer> Final Answer: </answer>", "x", None, False),
        ("<think>x</think> <answer> Final Answer:A </answer> Hope this helps!", "x", "A", False),
        ("<think>x</think> <answer> Final Answer:左边 </answer>", "x", "左边", True),
        ("<think>cut off in the mid", "cut off in the mid", None, False),
        ("", None, None, False),
    ]:
        with subtests.test(response=response):
            check("vision_r1", response, trace, answer, format_ok)


def test_vigorl_spatial(subtests):
    for response, trace, answer, points, format_ok in [
        (
            "<think>\nThe lamp is at (120, 45). The bed at (300,200) is right.\n</think>\n<answer> right </answer>",
            "The lamp is at (120, 45). The bed at (300,200) is right.",
            "right",
            ((120, 45), (300, 200)),
            True,
        ),
        ("<think>No points.</think><answer>left</answer>", "No points.", "left", (), False),
        ("<think>At (1, 2).</think><answer>A. right</answer>", "At (1, 2).", "right", ((1, 2),), True),
        ("<think>At (1, 2).</think><answer>b) moved left</answer>", "At (1, 2).", "moved left", ((1, 2),), True),
        ("<think>At (1, 2).</think><answer>B.</answer>", "At (1, 2).", "B", ((1, 2),), True),
        (
            "<think>(1.5, 2), (3, x), 4, 5.</think><answer>Yes</answer>",
            "(1.5, 2), (3, x), 4, 5.",
            "Yes",
            ((1.5, 2),),
            True,
        ),
        ("<think>At (1, 2).</think><answer>a</answer><answer>b</answer>", "At (1, 2).", "a", ((1, 2),), False),
        ("At (1, 2) it is. <answer>left</answer>", "At (1, 2) it is.", "left", ((1, 2),), False),
        (
            "<think>At (1, 2). Wait, at (3, 4).</think><answer>left",
            "At (1, 2). Wait, at (3, 4).",
            "left",
            ((1, 2), (3, 4)),
            False,
        ),
        ("<think>At (1, 2).</think>\nleft", "At (1, 2).", None, ((1, 2),), False),
        (
            "<think>At (99999999, 2) or (5, 6)</think><answer>left at (7, 8)</answer>",
            "At (99999999, 2) or (5, 6)",
            "left at (7, 8)",
            ((5, 6),),
            True,
        ),
        ("<think>At (1, 2).", "At (1, 2).", None, ((1, 2),), False),
        ("", None, None, (), False),
    ]:
        with subtests.test(response=response):
            check("vigorl_spatial", response, trace, answer, format_ok, points=points)


def test_treevgr(subtests):
    for response, trace, answer, boxes, format_ok in [
        # the prefill `<think>` is not in the response
        (
            "The car <box>[10,20,30,40]</box> is red.</think><answer>A</answer>",
            "The car <box>[10,20,30,40]</box> is red.",
            "A",
            ((10, 20, 30, 40),),
            True,
        ),
        # some servers return it
        (
            "<think>The car <box>[10,20,30,40]</box>.</think>\n<answer>B</answer>",
            "The car <box>[10,20,30,40]</box>.",
            "B",
            ((10, 20, 30, 40),),
            True,
        ),
        (
            "Two: <box>[1,2,3,4]</box><box>[5, 6, 7.5, 8]</box></think><answer>C</answer>",
            "Two: <box>[1,2,3,4]</box><box>[5, 6, 7.5, 8]</box>",
            "C",
            ((1, 2, 3, 4), (5, 6, 7.5, 8)),
            True,
        ),
        (
            "Both <box>[1,2,3,4],[5,6,7,8]</box></think><answer>C</answer>",
            "Both <box>[1,2,3,4],[5,6,7,8]</box>",
            "C",
            ((1, 2, 3, 4), (5, 6, 7, 8)),
            True,
        ),
        (
            "Wait, this box is wrong: <box>[9,2,3,4]</box> <box>[1,2,3]</box> <box>[1,2,3,4</think><answer>C</answer>",
            "Wait, this box is wrong: <box>[9,2,3,4]</box> <box>[1,2,3]</box> <box>[1,2,3,4",
            "C",
            (),
            True,
        ),
        ("<box>[1,2,99999999,4]</box></think><answer>C</answer>", "<box>[1,2,99999999,4]</box>", "C", (), True),
        ("No tag [1,2,3,4].</think><answer>D. red</answer>", "No tag [1,2,3,4].", "D. red", (), True),
        ("x</think><answer>A</answer><answer>B</answer>", "x", "A", (), False),
        ("x</think><answer>A</answer> <box>[1,2,3,4]</box>", "x", "A", (), False),
        ("x <answer>A</answer>", "x", "A", (), False),
        ("x</think><answer>A", "x", "A", (), False),
        ("x</think>A", "x", None, (), False),
        ("cut <box>[1,2,3,4]</box> off", "cut <box>[1,2,3,4]</box> off", None, ((1, 2, 3, 4),), False),
        ("", None, None, (), False),
    ]:
        with subtests.test(response=response):
            check("treevgr", response, trace, answer, format_ok, boxes=boxes)


def test_vl_rethinker(subtests):
    for response, trace, answer, format_ok in [
        (r"The lamp is left. \boxed{A}", "The lamp is left.", "A", True),
        (r"It is $\boxed{\text{B. left}}$.", "It is", "B. left", True),
        (
            r"So \boxed{A}. Wait, look again. It is right, so \boxed{B}.",
            r"So \boxed{A}. Wait, look again. It is right",
            "B",
            True,
        ),
        (r"Half: \boxed{\frac{1}{2}}", "Half", r"\frac{1}{2}", True),
        (r"Set: \boxed{\{1, 2\}}", "Set", r"\{1, 2\}", True),
        (r"Twice: \boxed{\boxed{C}}", r"Twice: \boxed{", "C", True),
        (r"Lost { brace, then \boxed {D} and text after.", "Lost { brace", "D", True),
        ("It is left.\n\\boxed{left\nand more", "It is left.", "left", True),  # never closed
        (r"First \boxed{A}, then \boxed{B cut", "First", "A", True),  # the last that is closed
        ("I see a door.\n**Final Answer:** C", "I see a door.", "C", False),  # announced only
        (r"\boxed{A} because the lamp is left.", None, "A", False),  # no reasoning before it
        (r"Empty \boxed{}", r"Empty \boxed{}", None, False),
        ("It is 左.\n\\boxed{\\textbf{左}}", "It is 左.", "左", True),
        ("No answer here, wait, wait, wait", "No answer here, wait, wait, wait", None, False),
        (r"<think>In tags.</think> \boxed{A}", "In tags.", "A", True),
        ("", None, None, False),
    ]:
        with subtests.test(response=response):
            check("vl_rethinker", response, trace, answer, format_ok)

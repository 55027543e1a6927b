"""Hypothesis strategies for hostile model output."""

from hypothesis import strategies as st

any_text = st.text(st.one_of(st.characters(), st.characters(categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Po", "Lo"])))
any_bytes = st.binary(max_size=300).map(lambda data: data.decode(errors="replace"))

coordinate = st.one_of(
    st.integers(-200, 200).map(str),
    st.floats(-1e7, 1e7).map(lambda value: f"{value:.3f}"),
    st.sampled_from(["NaN", "nan", "inf", "-inf", "Infinity", "1e308", "9" * 400, "-0", "", " ", "x", "٣", "1_0", "½"]),
)
box_tag = st.builds(
    lambda opening, numbers, closing: opening + ",".join(numbers) + closing,
    st.sampled_from(["<bbox>[", "<bbox>", "<bbox>[[", "bbox[", "<bbox><bbox>["]),
    st.lists(coordinate, max_size=6),
    st.sampled_from(["]</bbox>", "</bbox>", "]]</bbox>", "]", "],[1,2,3,4]</bbox>", ""]),
)
fragment = st.one_of(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            "<answer>left</answer>",
            "left",
            " ",
            "\n",
            ". ",
            "Wait, ",
            "“A.” ",
        ]
    ),
    box_tag,
    any_text,
)
tag_soup = st.lists(fragment, max_size=25).map("".join)
well_formed = st.builds("<think>{}</think><answer>left</answer>".format, st.lists(fragment, max_size=10).map("".join))

responses = st.one_of(any_text, any_bytes, tag_soup, well_formed)

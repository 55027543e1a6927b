"""A run whose every text is hostile: what a model could write, and what a damaged file could hold."""

import json

import yaml

from easyr1_fgrpo.traces import EvaluationRecord, ScorerRecord, SentenceRecord, SignalRecord, TraceRecord, VerdictRecord

from .runs import config_of, step_metrics

TEXTS = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "<!--<script>window.hacked = 1//-->",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg/onload=window.hacked=1>',
    "' onmouseover='window.hacked=1' autofocus onfocus='window.hacked=1",
    "javascript:window.hacked=1",
    '<a href="javascript:window.hacked=1">click</a>',
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "<style>* { display: none }</style><base href=https://evil.example/>",
    '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "{{ 7 * 7 }}{% for x in y %}${7 * 7}`${window.hacked = 1}`",
    "&lt;script&gt;window.hacked = 1&lt;/script&gt;",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200frtl",
    "line\u2028separator\u2029 \x00\x07\x1b[31mred\x1b[0m \x7f\x9b",
    "lone \ud800 surrogate \udfff",
    "astral 😀👩‍👩‍👧 ﷽ Z\u0351\u036b\u0343a\u0348l\u0349g\u0355o",
    "zero\u200bwidth\ufeff \U000e0041tag",
    "__proto__ constructor toString hasOwnProperty",
    "<bbox>[0,0,1e9,1e9]</bbox><bbox>[-1000000,-1000000,1000000,1000000]</bbox>",
    "x" * 5000,
    "]]>--></textarea></title></style>",
    "",
)


def encodable(text):
    """With U+FFFD for surrogates, as records hold it."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def record(number):
    """One record, all of its texts from `TEXTS`."""

    def text(shift):
        return TEXTS[(number + shift) % len(TEXTS)]

    verdict = VerdictRecord(judge=text(1), label="INCORRECT", text=text(2))
    unsure = VerdictRecord(judge=text(3), failure="invalid", cause=text(4), text=text(5))
    trace = encodable(f"{text(6)} {text(7)}")
    half = len(trace) // 2
    sentences = [SentenceRecord(text=trace[:half], start=0, end=half, trivial=False, verdict=verdict)]
    sentences += [SentenceRecord(text=text(8), start=10**6, end=10**6 + 4, trivial=False, verdict=unsure)]
    return TraceRecord(
        split="train",
        step=number % 7,
        index=number,
        session=0,
        question=text(9),
        choices=(text(10), text(11)),
        ground_truth=text(12),
        images=("__proto__", f"../../{encodable(text(13))}"),
        reference_boxes=((0.0, 0.0, 5.0, 5.0),),
        response=f"<think>{trace}</think><answer>{text(14)}</answer>",
        trace=trace,
        answer=text(14),
        boxes=((-1e6, -1e6, 1e6, 1e6), (0.0, 0.0, 0.0, 0.0)),
        n_boxes=1000,
        signals={
            name: SignalRecord(value=value)
            for name, value in {"accuracy": 1.0, "__proto__": 0.5, encodable(text(15)): 0.0}.items()
        },
        consistency=unsure if number % 2 else VerdictRecord(judge=text(16), label="NO", text=text(17)),
        sentences=tuple(sentences),
        evaluation=EvaluationRecord(
            key="k", model=text(18), style=encodable(text(19)), benchmark="b", item=text(20),
            scorer=ScorerRecord(scorer=text(21), right=None, text=text(22)),
        ) if number % 3 == 0 else None,
    )  # fmt: skip


def write_hostile_run(folder, traces=500):
    """A run directory of `traces` hostile records, with hostile names in config and metrics and broken bytes."""
    (folder / "traces").mkdir(parents=True)
    printable = {f"key{number}": text for number, text in enumerate(TEXTS) if text.isprintable()}
    (folder / "config.yaml").write_text(yaml.safe_dump({**config_of("<b>fgrpo</b>"), "hostile": printable}))
    metrics = step_metrics(0.5, "fgrpo") | {
        f"fgrpo/<img src=x onerror=window.hacked=1>/{part}": 0.5 for part in ("threshold", "score")
    }
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "metrics": metrics}) + "\n")
    lines = [record(number).model_dump_json(ensure_ascii=True).encode("ascii") for number in range(traces)]
    lines += [b'{"split": "\xff\xfe broken utf-8 \xc3("}', b"<script>window.hacked = 1</script>", b"[" * 100_000]
    (folder / "traces" / "train-0.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return folder

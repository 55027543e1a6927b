"""When two answers are the same: one normal form for rewards, data preparation and evaluation.

Folded: case; Unicode compatibility (full width, ligatures, digits of other scripts); white space, brackets, quotes,
Markdown and LaTeX's dressing; full stops, commas and hyphens of words; ways to write one sign (`<=` and ≤, ½ and 1/2,
m² and m^2, – and -, × and x, & and "and"); 1,000 and 1000.

Kept, since it changes what is said: the square brackets of intervals ([0,1] is not (0,1)), brackets around a sum that
is divided or raised, the bars of |x|, the minus of A-;
comparison (`<`, ≥, ≈), signs (-3, +3, ±3), ranges (10-20), ratios and times (2:3),
fractions (1/2), decimals (3.5; 3,5 is another text), lists of numbers (1, 2), powers, units and primes (5' and 5"), %,
°, currency, arrows, and gaps between numbers (1 2 is not 12; I, II is not III). Articles are words, and numbers are
texts: 3.50 is not 3.5.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

_AS = str.maketrans(
    {
        **dict.fromkeys("\N{MINUS SIGN}\N{HEAVY MINUS SIGN}", "-"),
        **dict.fromkeys("“”„‟«»", '"'),
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("⁄∕", "/"),
        **dict.fromkeys("×✕✖⨯", "x"),
        **dict.fromkeys("⋅∙", "·"),
        **dict.fromkeys("º˚", "°"),
        **dict.fromkeys("⟶➔➜➡", "→"),
        **dict.fromkeys("®©™℠`_", " "),
        **{"∶": ":", "∼": "~", "≦": "≤", "⩽": "≤", "≧": "≥", "⩾": "≥", "⬅": "←", "⬆": "↑", "⬇": "↓"},
        **{"٫": ".", "٬": ",", "、": ",", "&": " and "},
    }
)
_COMMANDS = {
    **{"times": "x", "cdot": "·", "div": "÷", "pm": "±", "circ": "°", "degree": "°", "approx": "≈", "sim": "~"},
    **{"leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠", "lt": "<", "gt": ">", "to": "→"},
    **{"rightarrow": "→", "leftarrow": "←", "uparrow": "↑", "downarrow": "↓", "infty": "∞", "pi": "π"},
    **dict.fromkeys(("boxed", "text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mathit", "mbox"), " "),
}
_MAX_PASSES = 5
"""One pass may uncover what an earlier rule reads ("<_="); the text may be hostile."""

_WORDS = re.compile(r"[A-Za-z\s]*+")
_ROMAN = re.compile(r"(?<!\w)([ivx]{1,4})\s+(?=[ivx]{1,4}(?!\w))", re.IGNORECASE)
_FRACTION = re.compile(r"\\[dt]?frac *\{([^{}]*+)\} *\{([^{}]*+)\}")
_COMMAND = re.compile(r"\^ ?\{? ?\\(circ|degree)(?![a-z])|\\([a-z]+)|\\[,;:! ]|\\")
_MATH = re.compile(r"\$\$|\$(?!\s)([^$]*+)(?<!\s)\$(?!\d)")
_QUOTED = re.compile(r"""(?<![\w'])(["'])([^"']*+)\1(?!\w)""")

_LETTER = r"[^\W\d_]"
_NUMBER = r"[-+]?\.?\d"
_TERM = rf"[-+]?+(?:[\d.]++|∞|{_LETTER}(?!\w))"
_CURRENCY = "[$¢£¤¥\u20a0-\u20cf]"
_SPELLINGS = [
    (re.compile(rule), spelling)
    for rule, spelling in (
        (r"\+ ?/? ?-(?= ?\.?\d)", "±"),
        (r"<-+>", "↔"),
        (r"(?<!-)-+>", "→"),
        (r"<-+(?![ .]*\d)", "←"),
        (r"<=", "≤"),
        (r">=", "≥"),
        (r"!=", "≠"),
        (r"""(?<=\d)(?:"|'')""", "′′"),
        (rf"(?<=\b{_LETTER})'''(?!['\w])", "′′′"),
        (rf"(?<=\b{_LETTER})''(?!['\w])", "′′"),
        (rf"(?<=\d)'(?!{_LETTER})|(?<=\b{_LETTER})'(?!\w)", "′"),
        (r"['\"]", ""),
        (r"~~", " "),
        (rf"(?<=\d) ?~ ?(?={_NUMBER})", "-"),
        (r"(?<=\d) ?\* ?(?=\.?\d)", "x"),
        (r"(?<=\d) ?\.\.+ ?(?=\d)", "‥"),
        (r"(?<!\w)#", " "),
        (rf"\|( ?{_TERM}(?: ?[-+*/^] ?{_TERM})*+ ?)\|", r"❘\1❘"),
        (r"\|", " "),
    )
]
"""In this order; every blank is one space."""
_LIST = re.compile(rf"([(\[])( ?{_TERM}(?: ?[,;] ?{_TERM})++ ?)([)\]])")
_GROUP = re.compile(r"(?<=[\d/^*-])( ?)\(([^()]{1,60})\)|()\(([^()]{1,60})\)(?= ?[/^*])")
_GROUPED = str.maketrans("⪽⪾⫍⫎", "()[]")
"""Signs that stand for the brackets that are kept, until all others are blanks."""
_THOUSANDS = re.compile(r"(?<![\d.,;])[1-9]\d{0,2}(?:,\d{3})+(?![,\d])")
_BETWEEN_NUMBERS = re.compile(rf"(?<=\d) ?([,;]) ?(?={_NUMBER})|(?<=\d) ?([:·]) ?(?=\d)|[,;:·]")
_NO_DOLLARS = re.compile(rf"\$(?! ?{_NUMBER})(?<!\d\$)(?<!\d \$)")
_NO_POINT = re.compile(rf"\.(?!\d)|(?<={_LETTER})\.")
_RANGE = re.compile(rf"(\d ?{_LETTER}{{1,5}}) ?- ?(?={_NUMBER})")
_VARIABLES = re.compile(rf"(?<!\w)(-|(?:{_LETTER} ?- ?)+)(?={_LETTER}(?!{_LETTER}))")
_TRAILING_SIGN = re.compile(rf"(?<!\S)({_LETTER})-\Z")
_NO_SIGN = re.compile(
    rf"-(?! ?[-+±~≈<>≤≥=]{{0,3}} ?{_CURRENCY}? ?(?:\.?\d|[∞√]|infinity\b))|(?<={_LETTER})-|(?<={_LETTER} )-(?= )"
)
_BLANK = re.compile(rf"(?<=\d) (?=\.?\d)|(?<={_LETTER}) (?=-|\.\d)|( )")


def normalize_answer(text: str) -> str:
    """The normal form; "" for a text that says nothing.

    A dash is a minus sign or a range when a number follows and no letter precedes directly ("-3", "x = -3", "10 - 20",
    not "A-3"), and with blanks on both sides no word either ("A - 3" is A, 3); after a number and its unit it is a
    range ("5 m - 10 m"), and before or between variables of one letter a minus sign ("-a + b"). A point is decimal when
    a digit follows and no letter precedes directly ("3.5", ".5", not "A.3").

    Returns:
        The form; its own form is itself. Linear in the text's length.
    """
    if _WORDS.fullmatch(text) and not _ROMAN.search(text):
        return "".join(text.split()).lower()
    for _ in range(_MAX_PASSES):
        form = _one_pass(text)
        if form == text:
            break
        text = form
    return text


def named_by_text(text: str, options: Sequence[str]) -> set[int]:
    """The options of the same text, else of the same normal form."""
    if verbatim := {i for i, option in enumerate(options) if option.strip() == text.strip()}:
        return verbatim
    normal = normalize_answer(text)
    return {i for i, option in enumerate(options) if normal and normalize_answer(option) == normal}


def same_options(options: Sequence[str]) -> tuple[str, str] | None:
    """The first two options that are one answer; None when each is another."""
    seen: dict[str, str] = {}
    for option in options:
        if (first := seen.setdefault(normalize_answer(option) or option.strip(), option)) is not option:
            return first, option
    return None


def _one_pass(text: str) -> str:
    text = _plain(text)
    text = _FRACTION.sub(lambda found: f" {_grouped(found[1])}/{_grouped(found[2])} ", text)
    text = _COMMAND.sub(lambda found: "°" if found[1] else _COMMANDS.get(found[2] or "", found[2] or ""), text)
    text = _QUOTED.sub(r" \2 ", _MATH.sub(r" \1 ", text))
    text = " ".join(text.split())
    for rule, spelling in _SPELLINGS:
        text = rule.sub(spelling, text)
    text = _GROUP.sub(_group, _LIST.sub(_list, text))
    text = " ".join("".join(map(_kept, text)).split())
    if text == "-":
        return text
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    text = _BETWEEN_NUMBERS.sub(lambda found: ";" if found[1] else found[2] or " ", text)
    text = _NO_POINT.sub(" ", _NO_DOLLARS.sub(" ", text))
    text = _RANGE.sub(r"\1–", " ".join(text.split()))
    text = _TRAILING_SIGN.sub(r"\1–", text)
    text = _VARIABLES.sub(lambda dashed: dashed[0].replace(" ", "").replace("-", "–"), text)
    text = _NO_SIGN.sub(" ", text).replace("–", "-")
    text = _ROMAN.sub(r"\1∣", " ".join(text.split()))
    return _BLANK.sub(lambda blank: "" if blank[1] else " ", text).translate(_GROUPED)


def _grouped(part: str) -> str:
    """A part of a fraction, in brackets where it is a sum."""
    return f"({part})" if re.search(r"\S ?[-+]", part) else part


def _list(found: re.Match[str]) -> str:
    """A list of numbers in brackets: no number with thousands; of two an interval, whose square brackets count."""
    if re.search(r",0\d\d\b", found[2]):
        return found[0]
    members = re.split(r" ?[,;] ?", found[2])
    joined = ";".join(members)
    if len(members) != 2 or found[1] + found[3] == "()":
        return f" {joined} "
    return f"{'⫍' if found[1] == '[' else '⪽'}{joined}{'⫎' if found[3] == ']' else '⪾'}"


def _group(found: re.Match[str]) -> str:
    """A sum in brackets beside a fraction, power, product or minus keeps them."""
    inside = found[2] or found[4]
    return f"{found[1] or ''}⪽{inside}⪾" if re.search(r"\S ?[-+]", inside) else found[0]


def _plain(text: str) -> str:
    """Compatible characters as plain ones: full width as ASCII, ½ as 1/2, x² as x^2; case folded."""
    if not text.isascii():
        raised = False
        plain = []
        for char in text:
            spelt = _spelt(char)
            again, raised = raised, spelt.startswith("^") and char != "^"
            plain.append(spelt[1:] if again and raised else spelt)
        text = "".join(plain)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_AS)


@lru_cache(4096)
def _spelt(char: str) -> str:
    """A character as its compatibility decomposition means it; a gap keeps a number apart from one before it."""
    tag, _, codes = unicodedata.decomposition(char).partition(" ")
    if char in "®©™℠º" or not tag.startswith("<"):
        return char.translate(_AS)
    parts = "".join(_spelt(chr(int(code, 16))) for code in codes.split())
    if tag == "<super>":
        return "^" + parts
    return parts if tag in ("<wide>", "<narrow>", "<font>") or not parts[:1].isdigit() else " " + parts


def _kept(char: str) -> str:
    """The character as far as it may matter; nothing for an invisible one, a blank for any other."""
    category = unicodedata.category(char)
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f":
        return ""
    if category == "Pd":
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(char))
    return char if char in "%‰‱/′‥,;:.·#" or category[0] in "LMNS" else " "

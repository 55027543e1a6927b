"""Text of files, names and servers, fit for a terminal."""


def printable(text: str) -> str:
    """The text in one line, without characters that a terminal would act on: those are written as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)

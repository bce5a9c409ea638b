"""What callers send, as a cell of a document that a spreadsheet may open. Pure."""

# A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """A text that begins as a formula does begins with an apostrophe instead. Not for numbers, which are none."""
    return f"'{text}" if text.startswith(_FORMULA) else text

"""What is said of a number that somebody typed and that cannot be read: what was typed, and what to write. Pure.

No comma is read, be it between decimals or thousands: what “1,500” means depends on who writes it.
"""

HAS_COMMA = "has a comma: write a point for decimals, and nothing between thousands"


def unread(typed: object, *, whole: bool = False) -> str:
    """The sentence about a text that is no number, or no whole one."""
    text = f"“{str(typed).strip()[:60]}”"
    if "," in text:
        return f"{text} has a comma: write a whole number in digits alone." if whole else f"{text} {HAS_COMMA}."
    if whole:
        return f"{text} is no whole number: write it in digits alone, for example 200000."
    return f"{text} is no number: write it in digits, for example 1000 or 0.00001."

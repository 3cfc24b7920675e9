"""Prepare text for the cells of a terminal table."""


def plain(text: str) -> str:
    """Return text in which the brackets of a SELFIES string are not taken for markup."""
    from rich.markup import escape

    return escape(text)


def one_line(text: str, width: int) -> str:
    """Return a text on one line of at most `width` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"

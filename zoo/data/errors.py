"""The error that all faults of data end in."""


class DataError(ValueError):
    """Data that cannot be used; the message names what and where."""


def printable(text: str) -> str:
    """A name as it may be printed: what is no character, or moves the cursor, is shown as an escape."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in text.encode("utf-8", "backslashreplace").decode("utf-8")
    )

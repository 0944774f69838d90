"""The error that all faults of data end in."""

import tokenize
import zipfile
import zlib

# What NumPy raises where a file is damaged: by the byte that is wrong, from the parts that read it.
DAMAGED = (
    OSError, ValueError, EOFError, RuntimeError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


class DataError(ValueError):
    """Data that cannot be used; the message names what and where."""


def printable(text: str) -> str:
    """A name as it may be printed: what is no character, or moves the cursor, is shown as an escape."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in text.encode("utf-8", "backslashreplace").decode("utf-8")
    )

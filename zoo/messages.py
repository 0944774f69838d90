"""Wording that messages share."""

from collections.abc import Iterable

# What `zoo.data.load` and `--data` take.
DATA_FORMS = "digits, tfds:NAME, folder:PATH, shards:DIR, go:PATH[:ENCODER], signals:NAME|PATH, text:PATH or wav:PATH"


def some(names: Iterable[str], shown: int = 8) -> str:
    """The first few names, and how many there are if that is not all.

    Example:
        >>> from zoo.messages import some
        >>> some(["one", "two", "three"], shown=2)
        'one, two, … (3 in all)'
        >>> some([])
        'none'
    """
    names = list(names)
    text = ", ".join(names[:shown]) or "none"
    return text if len(names) <= shown else f"{text}, … ({len(names)} in all)"

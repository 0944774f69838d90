"""Text that is made: a task that only the order of the words decides."""

import numpy as np

_FILLERS = (
    "the", "film", "and", "its", "music", "were", "as", "we", "thought", "they", "would", "be", "on", "that", "evening",
    "in", "town", "with", "all", "our", "friends", "who", "came", "late", "from", "work", "but", "stayed", "to", "see",
    "how", "it", "might", "end",
)  # fmt: skip


def make_order_task(count: int, *, seed: int, length: int = 12) -> tuple[list[str], list[int]]:
    """Sentences whose class is a matter of order: "not good … bad" is 0, "not bad … good" is 1.

    Each sentence of one class has a partner in the other with the same words, so that no count of words tells them
    apart.

    Args:
        count: Number of sentences, even.
        seed: Another seed gives other sentences.
        length: Words of a sentence, at least 3.

    Returns:
        The sentences and their classes, 0 or 1.

    Example:
        >>> from zoo.data.text import make_order_task
        >>> texts, classes = make_order_task(2, seed=0)
        >>> sorted(texts[0].split()) == sorted(texts[1].split()), classes
        (True, [0, 1])
    """
    rng = np.random.default_rng(seed)
    texts, classes = [], []
    for _ in range(count // 2):
        fillers = rng.choice(_FILLERS, length - 3).tolist()
        # "not" and what it belongs to, and the other word, in one order or the other, anywhere between the fillers.
        first, second = sorted(rng.choice(length - 1, 2, replace=False).tolist())
        is_not_first = bool(rng.integers(2))
        for label, (negated, other) in enumerate((("good", "bad"), ("bad", "good"))):
            pair, single = ["not", negated], [other]
            early, late = (pair, single) if is_not_first else (single, pair)
            middle = max(second - 1, first)
            texts.append(" ".join([*fillers[:first], *early, *fillers[first:middle], *late, *fillers[middle:]]))
            classes.append(label)
    return texts, classes

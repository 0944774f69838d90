"""How good sentences are: exact match, BLEU, CIDEr-D; how well pictures and sentences find each other."""

import collections
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.text.encoding import words

_LONGEST, _SIGMA = 4, 6.0


@dataclass(frozen=True)
class Scores:
    """Of sentences against those of their pictures.

    Attributes:
        exact: Part of the sentences that are one of their picture's, word for word.
        bleu: BLEU-1 to BLEU-4, 0 to 1, by sacrebleu, without smoothing.
        cider: CIDEr-D, 0 to 10.
    """

    exact: float
    bleu: tuple[float, float, float, float]
    cider: float


def require_sacrebleu() -> None:
    """Raise an ImportError that says what to install."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError:
        raise ValueError("BLEU needs sacrebleu: pip install 'cnn-zoo[caption]'") from None


def score(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Scores of sentences; case and punctuation do not count.

    Args:
        answers: A sentence for each picture.
        references: For each picture, its sentences.

    Raises:
        ValueError: There are not as many of one as of the other, or sacrebleu is not installed.
    """
    if len(answers) != len(references) or not answers:
        raise ValueError(f"Each answer needs its references. Received: {len(answers)} and {len(references)}")
    told = [words(answer) for answer in answers]
    known = [[words(reference) for reference in of_one] for of_one in references]
    exact = sum(answer in of_one for answer, of_one in zip(told, known, strict=True)) / len(told)
    return Scores(exact, bleu(told, known), cider_d(told, known))


def bleu(
    answers: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> tuple[float, float, float, float]:
    """BLEU-1 to BLEU-4 of a corpus (Papineni et al., 2002, https://aclanthology.org/P02-1040), by sacrebleu.

    Args:
        answers: The words of a sentence for each picture.
        references: For each picture, the words of its sentences.

    Returns:
        Four numbers from 0 to 1; without smoothing, and with the nearest of the references' lengths.
    """
    require_sacrebleu()
    from sacrebleu.metrics import BLEU

    most = max(map(len, references))
    # What sacrebleu does take, and its annotation leaves out: None where a picture has fewer sentences than others.
    streams: Any = [
        [" ".join(of_one[number]) if number < len(of_one) else None for of_one in references] for number in range(most)
    ]
    told = [" ".join(answer) for answer in answers]

    def of(order: int) -> float:
        found = BLEU(max_ngram_order=order, tokenize="none", smooth_method="none", force=True)
        return found.corpus_score(told, streams).score / 100

    return of(1), of(2), of(3), of(4)


def cider_d(answers: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> float:
    """CIDEr-D of a corpus: Vedantam, Zitnick, Parikh, 2015, https://arxiv.org/abs/1411.5726, section 6.

    A sentence is, for n = 1 to 4, the vector of its runs of n words, each weighed by how rare it is among the pictures.
    The score is ten times the mean over n and references of the cosine, with counts clipped to those of the reference,
    times a Gaussian of deviation 6 of the difference in length.

    Args:
        answers: The words of a sentence for each picture.
        references: For each picture, the words of its sentences; how rare a run is comes from these.

    Returns:
        The mean over the pictures, 0 to 10; 0 for a single picture, where nothing is rare.
    """
    seen = collections.Counter(
        run for of_one in references for run in {run for reference in of_one for run in _runs(reference)}
    )
    rarest = math.log(len(references))

    def vectors(sentence: Sequence[str]) -> list[dict[tuple[str, ...], float]]:
        found: list[dict[tuple[str, ...], float]] = [{} for _ in range(_LONGEST)]
        for run, count in _runs(sentence).items():
            found[len(run) - 1][run] = count * (rarest - math.log(max(seen[run], 1)))
        return found

    total = 0.0
    for answer, of_one in zip(answers, references, strict=True):
        own = vectors(answer)
        for reference in of_one:
            shorter = math.exp(-((len(answer) - len(reference)) ** 2) / (2 * _SIGMA**2))
            cosines = [_clipped_cosine(*pair) for pair in zip(own, vectors(reference), strict=True)]
            total += 10 * shorter * sum(cosines) / _LONGEST / len(of_one)
    return total / len(answers)


def _runs(sentence: Sequence[str]) -> collections.Counter:
    """How often each run of one to four words stands in a sentence."""
    return collections.Counter(
        tuple(sentence[begin : begin + length])
        for length in range(1, _LONGEST + 1)
        for begin in range(len(sentence) - length + 1)
    )


def _clipped_cosine(answer: dict[tuple[str, ...], float], reference: dict[tuple[str, ...], float]) -> float:
    product = sum(min(value, reference[run]) * reference[run] for run, value in answer.items() if run in reference)
    norms = math.hypot(*answer.values()) * math.hypot(*reference.values())
    return product / norms if norms else 0.0


@dataclass(frozen=True)
class Retrieval:
    """How well one finds the other.

    Attributes:
        recall: Part that finds a right one among the first 1, 5 and 10.
        median_rank: Median of the place of the first right one, from 1.
    """

    recall: tuple[float, float, float]
    median_rank: float


def retrieval(similarities: np.ndarray, right: np.ndarray) -> Retrieval:
    """Scores of a search.

    Args:
        similarities: (queries, candidates); equal ones are taken to stand in the worst order.
        right: Which candidates are right for each query, (queries, candidates) bool; at least one each.

    Example:
        >>> import numpy as np
        >>> retrieval(np.array([[0.9, 0.1], [0.8, 0.3]]), np.eye(2, dtype=bool))
        Retrieval(recall=(0.5, 1.0, 1.0), median_rank=1.5)
    """
    best = np.where(right, similarities, -np.inf).max(1, keepdims=True)
    ranks = 1 + ((similarities >= best) & ~right).sum(1)
    first, fifth, tenth = (float((ranks <= most).mean()) for most in (1, 5, 10))
    return Retrieval((first, fifth, tenth), float(np.median(ranks)))


def cells(found: Mapping[str, Any]) -> list[str]:
    """A `Scores` or a `Retrieval`, as plain JSON has it, as the cells of a table's row."""
    if "exact" in found:
        return [*(f"{value:.3f}" for value in (found["exact"], *found["bleu"])), f"{found['cider']:.2f}"]
    return [*(f"{value:.3f}" for value in found["recall"]), f"{found['median_rank']:g}"]

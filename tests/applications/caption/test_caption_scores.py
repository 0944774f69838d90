"""Scores of sentences against others' implementations, and of retrieval by hand."""

import numpy as np
import pytest

from applications.caption import scores
from zoo.data.text.encoding import words

ANSWERS = [
    "a large seven is left of a small two",
    "a dog runs on the beach",
    "two men ride",
    "a man riding a wave on top of a surfboard in the ocean",
]
REFERENCES = [
    ["a large seven is left of a small two", "a small two is right of a large seven"],
    ["a brown dog runs along a beach", "the dog is on the sand", "a dog on the beach runs on"],
    ["two men ride horses on a beach"],
    ["a surfer rides a large wave in the ocean", "a man on a surfboard rides a wave", "man surfing"],
]


CIDER = 3.731694220990565
BLEU = (0.9032258063933402, 0.8179585275780143, 0.6625900516755018, 0.5505326692012934)


def split(texts):
    return [words(text) for text in texts], [[words(text) for text in of_one] for of_one in REFERENCES]


def test_cider_is_that_of_pycocoevalcap():
    # pycocoevalcap 1.2 is 104 MB with its Java programs, so it is no dependency: these are its numbers.
    assert scores.cider_d(*split(ANSWERS)) == pytest.approx(CIDER, rel=1e-6)
    cider = pytest.importorskip("pycocoevalcap.cider.cider", reason="compared where it is installed")
    answers = {number: [text] for number, text in enumerate(ANSWERS)}
    found, _ = cider.Cider().compute_score(dict(enumerate(REFERENCES)), answers)
    assert scores.cider_d(*split(ANSWERS)) == pytest.approx(found, rel=1e-6)


def test_cider_of_what_is_said_word_for_word_and_of_nothing():
    right = [of_one[0] for of_one in REFERENCES]
    alone = [[words(text)] for text in right]
    assert scores.cider_d([words(text) for text in right], alone) == pytest.approx(10.0)
    assert scores.cider_d([[]] * 4, alone) == 0.0


def test_bleu_by_hand_and_as_pycocoevalcap_has_it():
    pytest.importorskip("sacrebleu", reason="it comes with the extra `caption`")
    found = scores.bleu([words("a dog sits there today")], [[words("a dog sits here"), words("the dog sits there")]])
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 0 of 2 runs of four; longer than the nearest reference.
    assert found == pytest.approx((4 / 5, (4 / 5 * 3 / 4) ** (1 / 2), (4 / 5 * 3 / 4 * 2 / 3) ** (1 / 3), 0.0))
    assert scores.bleu(*split(ANSWERS)) == pytest.approx(BLEU, rel=1e-6)


def test_scores_of_a_corpus():
    pytest.importorskip("sacrebleu", reason="it comes with the extra `caption`")
    found = scores.score(["A large seven is left of a small two!", *ANSWERS[1:]], REFERENCES)
    assert found.exact == 0.25
    with pytest.raises(ValueError, match="Each answer needs its references. Received: 1 and 4"):
        scores.score(ANSWERS[:1], REFERENCES)


def test_sacrebleu_is_asked_for(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(ValueError, match=r"BLEU needs sacrebleu: pip install 'cnn-zoo\[caption\]'"):
        scores.require_sacrebleu()


def test_retrieval_counts_the_first_right_one():
    similarities = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.1], [0.9, 0.5, 0.1]])
    right = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]], bool)
    found = scores.retrieval(similarities, right)
    # Ranks 1, 2, 2 (an equal one counts as before) and 3.
    assert found == scores.Retrieval((0.25, 1.0, 1.0), 2.0)

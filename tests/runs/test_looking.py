"""What decided an answer is found where it is known."""

import numpy as np
import pytest

from zoo.data.text import Encoder
from zoo.report import LookedAt
from zoo.runs.looking import draw_look, look_at_spectrogram, look_at_text

WORDS = Encoder("words", ("", "[UNK]", "so", "very", "good"), 60)


def hears(time, band):
    """A network that knows one place of a spectrogram alone."""

    def answer(values):
        chance = 1 / (1 + np.exp(-values[:, time, band, 0]))
        return np.stack([1 - chance, chance], 1)

    return answer


@pytest.mark.parametrize(("time", "band"), [(5, 3), (50, 20), (97, 39), (0, 0)])
@pytest.mark.parametrize("shape", [(98, 40, 1), (98, 40, 3)])
def test_the_place_that_decides_is_found(time, band, shape):
    spectrogram = np.zeros(shape, np.float32)
    spectrogram[time, band] = 4
    worth = look_at_spectrogram(hears(time, band), spectrogram, 1)
    assert worth.shape == shape[:2]
    assert worth[time, band] == worth.max() == 1
    # No farther away than a hidden part reaches.
    far = np.abs(np.arange(98)[:, None] - time) >= 14
    assert worth[np.broadcast_to(far, worth.shape)].max() == 0
    # For the other class nothing speaks: hiding the place makes it likelier.
    assert look_at_spectrogram(hears(time, band), spectrogram, 0).max() == 0


@pytest.mark.parametrize("cepstral", [False, True])
def test_silence_is_worth_nothing(cepstral):
    rng = np.random.default_rng(0)
    spectrogram = np.full((98, 40, 1), -12.0)
    spectrogram[40:60] = rng.normal(size=(20, 40, 1))

    def hears_loudness(values):
        chance = 1 / (1 + np.exp(-values[..., 0].mean((1, 2)) / 3))
        return np.stack([1 - chance, chance], 1)

    worth = look_at_spectrogram(hears_loudness, spectrogram, 1, cepstral=cepstral)
    assert worth[:25].max() == worth[75:].max() == 0
    assert worth[48:52].min() > 0.3


def reads(number):
    """A network that knows one word or character alone."""

    def answer(values):
        chance = np.where((values == number).any(1), 0.9, 0.2)
        return np.stack([1 - chance, chance], 1)

    return answer


def test_the_word_that_decides_is_found():
    found = look_at_text(reads(4), WORDS.encode("so very good so unheard"), 1, WORDS)
    assert found == [("so", 0.0), ("very", 0.0), ("good", 1.0), ("so", 0.0), ("[UNK]", 0.0)]
    long = look_at_text(reads(4), WORDS.encode("so " * 50 + "good"), 1, WORDS)
    assert len(long) == 26  # two words a piece
    assert [piece for piece, weight in long if weight] == ["good"]
    assert look_at_text(reads(4), WORDS.encode(""), 1, WORDS) == []


def test_characters_are_taken_by_words():
    letters = Encoder("characters", tuple("abcdefg "), 30)
    found = look_at_text(reads(7), letters.encode("bad  egg ace?"), 1, letters)
    assert [piece for piece, _ in found][:2] == ["bad", "egg"]
    assert [weight for _, weight in found][:3] == [0.0, 1.0, 0.0]


def test_the_picture_has_colour_where_the_answer_came_from():
    spectrogram = np.random.default_rng(0).normal(size=(49, 10, 1))
    worth = np.zeros((49, 10))
    worth[30:40, 0:3] = 1  # low frequencies are at the bottom
    picture = draw_look(spectrogram, worth)
    height = 30
    assert picture.shape == (2 * height + 6, 147, 3)
    assert picture.dtype == np.uint8
    grey = np.ptp(picture.astype(int), axis=2)
    assert grey[:height].max() == 0
    coloured = grey[height + 6 :] > 30
    assert coloured[-3:, 95:115].mean() > 0.9
    assert coloured[: height // 2].max() == 0


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match=r"uint8 of shape \(height, width, 3\). Received: float64 of \(2, 2\)"):
        LookedAt("", pictures=[(0, np.zeros((2, 2)))])
    with pytest.raises(ValueError, match="Weights of pieces are from 0 to 1. Received: 2.0 for example 3"):
        LookedAt("", texts=[(3, [("a", 2.0)])])

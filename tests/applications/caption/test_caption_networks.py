"""Decoders word by word and at once, beam search against all sentences, and the ranking loss."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from applications.caption import learning, networks
from applications.caption.config import Captioning
from applications.caption.search import beam_search, penalty

SIZES = {"body": "simple_cnn", "knobs": {}, "units": 16, "heads": 2}
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1)).astype("float32")
WORDS = np.array([[2, 5, 4, 6, 7], [2, 4, 4, 4, 0], [2, 7, 0, 0, 0]], "int32")


@pytest.fixture(scope="module")
def built():
    keras.utils.set_random_seed(1)
    made = {}
    for name in ("gru", "transformer"):
        made[name] = networks.build(Captioning(network=name, **SIZES), (16, 16, 1), 9, 5)
        for variable in made[name].trainable_variables:  # biases and scales too, or a mistake in them would hide
            variable.assign_add(keras.random.normal(variable.shape, stddev=0.1))
    return made


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_word_by_word_gives_the_logits_of_the_whole_sentence(built, name):
    model = built[name]
    whole = model.predict_on_batch({"picture": PICTURES, "words": WORDS})
    annotations = keras.Model(model.inputs[0], model.get_layer("annotations").output)(PICTURES)
    assert annotations.shape == (3, 4, 16)
    decoder = model.get_layer("decoder")
    state, looked = decoder.start(annotations), []
    for place in range(WORDS.shape[1]):
        logits, state, weights = decoder.step(WORDS[:, place], state)
        np.testing.assert_allclose(logits, whole[:, place], atol=2e-5)
        looked.append(weights)
    logits, weights = decoder.read(WORDS, annotations, False)
    np.testing.assert_allclose(logits, whole, atol=2e-5)
    np.testing.assert_allclose(np.stack(looked, 1), weights, atol=1e-5)
    np.testing.assert_allclose(np.sum(weights, -1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_a_word_is_not_known_before_it_is_read_and_pictures_matter(built, name):
    def logits(pictures, words):
        return built[name].predict_on_batch({"picture": pictures, "words": words})

    whole, other = logits(PICTURES, WORDS), WORDS.copy()
    other[:, 3:] = 8
    np.testing.assert_allclose(logits(PICTURES, other)[:, :3], whole[:, :3], atol=1e-5)
    assert np.abs(logits(PICTURES, other)[:, 3:] - whole[:, 3:]).max() > 1e-2
    mirrored = PICTURES[:, :, ::-1].copy()
    assert np.abs(logits(mirrored, WORDS) - whole).max() > 1e-3


def test_the_order_of_places_matters():
    layer = networks.Annotations(8)
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 4)).astype("float32")
    found = np.asarray(layer(x))
    assert found.shape == (1, *layer.compute_output_shape((None, 3, 5, 4))[1:]) == (1, 15, 8)
    turned = np.asarray(layer(x[:, :, ::-1].copy())).reshape(1, 3, 5, 8)[:, :, ::-1].reshape(1, 15, 8)
    assert np.abs(found - turned).max() > 1e-2
    with pytest.raises(ValueError, match="units must be a multiple of 4. Received: units=6"):
        networks.Annotations(6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": "go_policy_128"}, "A body sees pictures. Received: 'go_policy_128'"),
        ({"endpoint": "stride32"}, "simple_cnn has the feature maps stride1, stride2, stride4. Received: endpoint="),
    ],
)
def test_bodies_that_cannot_be_are_refused(change, message):
    config = dataclasses.replace(Captioning(**SIZES), **change)
    with pytest.raises(ValueError, match=message):
        networks.build(config, (16, 16, 1), 9, 5)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="network must be one of gru, transformer, embedding. Received: 'lstm'"):
        Captioning(network="lstm")
    with pytest.raises(ValueError, match="units must be a multiple of heads. Received: units=30, heads=4"):
        Captioning(network="transformer", units=30)
    with pytest.raises(ValueError, match="beams must be at least 1. Received: 0"):
        Captioning(beams=0)
    with pytest.raises(ValueError, match="dropout must be from 0 to below 1. Received: 1"):
        Captioning(dropout=1)


@pytest.mark.parametrize(("name", "endpoint"), [("resnet20", "stride2"), ("mobilenet_v3_small", None)])
def test_any_body_at_any_endpoint(name, endpoint):
    config = Captioning(body=name, knobs={}, endpoint=endpoint, units=8, heads=2, network="transformer")
    model = networks.build(config, (32, 32, 3), 9, 5)
    assert model.output_shape == (None, 5, 9)


VOCABULARY, LENGTH, END = 4, 3, 1
SHAPE = (2, VOCABULARY, VOCABULARY, VOCABULARY, VOCABULARY)  # picture, three words before, next word
LOGITS = np.random.default_rng(5).normal(size=SHAPE).astype("float32") * 2


def table_step(words, state):
    """Logits that depend on picture and on all words before, from a table."""
    before = tf.concat([state["before"][:, 1:], words[:, None]], 1)
    logits = tf.gather_nd(LOGITS, tf.concat([state["picture"][:, None], before], 1))
    return tf.ensure_shape(logits, (None, VOCABULARY)), {**state, "before": before}, None


def begin():
    return {"picture": tf.range(2), "before": tf.zeros((2, 3), tf.int32)}


def every_sentence(picture, normalisation):
    """All sentences with their log probabilities and scores, best first; word 0 is not said."""
    log = np.asarray(tf.nn.log_softmax(LOGITS[picture]))
    found = []
    for length in range(LENGTH + 1):
        for words in itertools.product((2, 3), repeat=length):
            said, before, total = [*words, END], [0, 0, 0], 0.0
            last = 2
            for word in said:
                before = [*before[1:], last]
                total += log[tuple(before)][word]
                last = word
            score = total / float(penalty(len(said), normalisation))
            found.append((score, total, words))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("normalisation", [0.0, 0.7])
def test_a_wide_beam_finds_what_a_search_of_all_sentences_finds(normalisation):
    found = beam_search(
        table_step, begin(), beams=20, length=LENGTH, start=2, end=END, forbidden=(0,), normalisation=normalisation
    )
    for picture in range(2):
        expected = every_sentence(picture, normalisation)
        assert len(expected) == 15
        for number, (score, total, words) in enumerate(expected):
            assert [word for word in found.words[picture, number].numpy() if word] == list(words)
            assert float(found.score[picture, number]) == pytest.approx(score, abs=1e-4)
            assert float(found.log_probability[picture, number]) == pytest.approx(total, abs=1e-4)
        assert np.all(found.log_probability[picture, 15:] == -np.inf)


def test_one_beam_is_the_greedy_search():
    found = beam_search(table_step, begin(), beams=1, length=LENGTH, start=2, end=END, forbidden=(0,))
    for picture in range(2):
        before, last, said = [0, 0, 0], 2, []
        while last != END and len(said) < LENGTH:
            before = [*before[1:], last]
            last = 1 + int(np.argmax(LOGITS[picture][tuple(before)][1:]))
            said += [last] if last != END else []
        assert [word for word in found.words[picture, 0].numpy() if word] == said


def test_a_search_without_beams_is_refused():
    with pytest.raises(ValueError, match="beams must be at least 1. Received: beams=0"):
        beam_search(table_step, begin(), beams=0, length=2, start=2, end=END)


def test_ranking_loss_by_hand():
    vectors = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    shown = np.array([0, 1, 0, 2])
    expected = np.zeros(4)
    for one, other in itertools.permutations(range(4), 2):
        if shown[one] != shown[other]:
            own = vectors[one, 0] @ vectors[one, 1]
            expected[one] += max(0, 0.3 - own + vectors[one, 0] @ vectors[other, 1])
            expected[one] += max(0, 0.3 - own + vectors[other, 0] @ vectors[one, 1])
    loss = learning.PairwiseRanking(0.3)
    np.testing.assert_allclose(loss.call(shown, vectors), expected, rtol=1e-5)
    assert keras.losses.deserialize(keras.losses.serialize(loss)).margin == 0.3


def test_word_loss_leaves_out_padding():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 4, 6)).astype("float32"), np.array([[4, 5, 3, 0], [3, 0, 0, 0]])
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    found = np.asarray(learning.WordCrossEntropy().call(labels, logits)).mean(1)
    for sentence, count in ((0, 3), (1, 1)):
        each = [-log[sentence, place, labels[sentence, place]] for place in range(count)]
        assert found[sentence] == pytest.approx(np.mean(each), rel=1e-5)

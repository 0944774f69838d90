"""Beam search for the best sentence, for any decoder with a state."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

State = dict[str, tf.Tensor]
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State, Any]]


class Found(NamedTuple):
    """Sentences of each picture, the best first.

    Attributes:
        words: (pictures, beams, length) int32, without the marks of beginning and end, 0 behind the end.
        log_probability: (pictures, beams) float32, of the sentence and its end; minus infinity where there is none.
        score: (pictures, beams) float32, the same divided by the penalty of the length.
    """

    words: tf.Tensor
    log_probability: tf.Tensor
    score: tf.Tensor


def penalty(length: Any, normalisation: float) -> tf.Tensor:
    """By what a log probability is divided: ((5 + length) / 6) ** normalisation.

    Wu et al., "Google's Neural Machine Translation System", 2016, https://arxiv.org/abs/1609.08144, equation 14.

    Args:
        length: Words of a sentence, the mark of the end among them.
        normalisation: 0 for no penalty, by which short sentences win.
    """
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** normalisation


def beam_search(
    step: Step,
    state: State,
    *,
    beams: int,
    length: int,
    start: int,
    end: int,
    forbidden: Sequence[int] = (),
    normalisation: float = 0.0,
) -> Found:
    """The most probable sentences, as far as a beam of so many finds them.

    Sentences that have ended stay in the beam and compete with those that go on. One beam is the greedy search; with
    as many as there are sentences the search is exhaustive.

    Args:
        step: From words (rows,) and a state to logits (rows, vocabulary), the next state, and what is not looked at.
        state: Before the first word; each tensor has the pictures in front.
        beams: Sentences that are kept for each picture.
        length: Most words of a sentence; behind so many it ends.
        start: The word before the first.
        end: The word behind the last.
        forbidden: Words that are not said.
        normalisation: See `penalty`.

    Returns:
        The sentences.

    Raises:
        ValueError: beams or length is below 1.
    """
    for name, value in (("beams", beams), ("length", length)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
    never = float("-inf")
    batch = tf.shape(next(iter(state.values())))[0]
    first = tf.constant([0.0] + [never] * (beams - 1))

    def keep_going(number: tf.Tensor, words: tf.Tensor, total: tf.Tensor, ended: tf.Tensor, *_: Any) -> tf.Tensor:
        return (number <= length) & ~tf.reduce_all(ended | (total == never))

    def go_on(
        number: tf.Tensor, words: tf.Tensor, total: tf.Tensor, ended: tf.Tensor, lengths: tf.Tensor, last: tf.Tensor,
        state: State,
    ) -> tuple[Any, ...]:  # fmt: skip
        logits, state, _ = step(tf.reshape(last, [-1]), state)
        vocabulary = logits.shape[-1]
        each = tf.range(vocabulary)
        log = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        said = tf.reduce_all(each[:, None] != tf.constant(list(forbidden), tf.int32)[None], 1)
        said &= (number < length) | (each == end)
        log = tf.reshape(tf.where(said, log, never), [batch, beams, vocabulary])
        # A sentence that has ended goes on by nothing, in one way.
        log = tf.where(ended[..., None], tf.where(each == 0, 0.0, never), log)
        totals = total[..., None] + log
        longer = lengths + tf.cast(~ended, tf.int32)
        scores = tf.reshape(totals / penalty(longer, normalisation)[..., None], [batch, beams * vocabulary])
        _, best = tf.math.top_k(scores, beams)
        parents, chosen = best // vocabulary, best % vocabulary
        total = tf.gather(tf.reshape(totals, [batch, -1]), best, batch_dims=1)
        words, ended, lengths = (tf.gather(part, parents, batch_dims=1) for part in (words, ended, longer))
        stops = ended | (chosen == end)
        here = tf.one_hot(number, length + 1, on_value=True, off_value=False, dtype=tf.bool)
        words = tf.where(here & ~stops[..., None], chosen[..., None], words)
        rows = tf.reshape(parents + beams * tf.range(batch)[:, None], [-1])
        state = {name: tf.gather(part, rows) for name, part in state.items()}
        return number + 1, words, total, stops, lengths, chosen, state

    repeated = {name: tf.repeat(part, beams, axis=0) for name, part in state.items()}
    beginning = (
        tf.constant(0),
        tf.zeros([batch, beams, length + 1], tf.int32),
        tf.tile(first[None], [batch, 1]),
        tf.zeros([batch, beams], tf.bool),
        tf.zeros([batch, beams], tf.int32),
        tf.fill([batch, beams], start),
        repeated,
    )
    _, words, total, _, lengths, _, _ = tf.while_loop(keep_going, go_on, beginning)
    return Found(words[..., :length], total, total / penalty(lengths, normalisation))

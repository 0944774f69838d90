"""A captioning network as a SavedModel that needs neither this package nor Keras."""

import contextlib
import io
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from applications.caption.learning import Run
from applications.caption.vocabulary import END_WORD, START_WORD


def export(run: Run, folder: str | Path, *, beams: int | None = None) -> None:
    """Write a SavedModel with three endpoints.

    - `serve`: pictures (batch, height, width, channels) uint8 to a dict of `caption` (batch,) strings, `words`
      (batch, length) whole numbers and `log_probability` (batch,).
    - `start`: pictures to the decoder's state before the first word, a dict.
    - `step`: words (batch,) int32 and a state to `logits` (batch, vocabulary), `attention` (batch, places), and the
      next state, all in one dict.

    Args:
        run: A trained decoder.
        folder: Where to; new.
        beams: Sentences that are kept in the search; 1 is the greedy search, None takes the run's own.

    Raises:
        ValueError: The folder is there already, or the run is an embedding.
    """
    folder = Path(folder)
    decoder, encoder = run.decoder, run.encoder
    if folder.exists():
        raise ValueError(f"{folder} is there already. Choose another folder, or remove it.")
    find = run.search(beams=beams)
    known = tf.constant(run.words.encoder.symbols)
    pictures = tf.TensorSpec((None, *run.picture_shape), tf.uint8, name="pictures")
    blind = 0.0 if run.config.blind else 1.0

    def serve(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        found = find(pictures)
        numbers = found.words[:, 0]
        told = tf.strings.strip(tf.strings.reduce_join(tf.gather(known, numbers), axis=1, separator=" "))
        return {"caption": told, "words": numbers, "log_probability": found.log_probability[:, 0]}

    def start(pictures: tf.Tensor) -> dict[str, Any]:
        return decoder.start(encoder(tf.cast(pictures, tf.float32) * blind, training=False))

    def step(words: tf.Tensor, state: dict[str, tf.Tensor]) -> dict[str, Any]:
        logits, state, attention = decoder.step(words, state)
        return {"logits": logits, "attention": attention, **state}

    example = start(tf.zeros((1, *run.picture_shape), tf.uint8))
    state = {name: tf.TensorSpec((None, *part.shape[1:]), part.dtype, name=name) for name, part in example.items()}
    words = tf.TensorSpec((None,), tf.int32, name="words")
    archive = keras.export.ExportArchive()
    archive.track(run.model)
    archive.add_endpoint("serve", serve, input_signature=[pictures])
    archive.add_endpoint("start", start, input_signature=[pictures])
    archive.add_endpoint("step", step, input_signature=[words, state])
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints all signatures
        archive.write_out(str(folder))


def greedy(loaded: Any, pictures: Any, length: int) -> Any:
    """Words of pictures, by `start` and `step` of a loaded SavedModel alone; how others may use it.

    Args:
        loaded: What `tf.saved_model.load` gives.
        pictures: (batch, height, width, channels) uint8.
        length: Most words.

    Returns:
        (batch, length) int32, 0 behind the end. Padding, unknown words and the mark of the beginning are not said.
    """
    state = loaded.start(tf.constant(pictures))
    word = tf.fill([len(pictures)], START_WORD)
    ended, said = tf.zeros([len(pictures)], tf.bool), []
    for _ in range(length):
        found = dict(loaded.step(word, state))
        logits = found.pop("logits")
        del found["attention"]
        state = found
        word = tf.argmax(logits[:, END_WORD:], 1, tf.int32) + END_WORD
        ended |= word == END_WORD
        said.append(tf.where(ended, 0, word))
    return tf.stack(said, 1)

"""Training on pictures with sentences, the run folder, and answers."""

import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from applications.caption import networks, report, scenes, vocabulary
from applications.caption.config import Captioning
from applications.caption.scores import Retrieval, Scores, require_sacrebleu, retrieval, score
from applications.caption.search import Found, beam_search
from applications.caption.vocabulary import Vocabulary
from zoo import files, training
from zoo.training.seeds import seed_everything

CONFIG, MODEL, RESULT, VOCABULARY = "config.json", "model.keras", "result.json", "vocabulary.json"


@keras.saving.register_keras_serializable("zoo")
class WordCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits (batch, words, vocabulary), the mean over the words of a sentence.

    Labels are (batch, words) whole numbers; 0 does not count.
    """

    def __init__(self, name: str = "word_cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = keras.ops.cast(y_true, "int32")
        counts = keras.ops.cast(labels > 0, "float32")
        found = keras.ops.sparse_categorical_crossentropy(labels, keras.ops.cast(y_pred, "float32"), from_logits=True)
        return found * counts / keras.ops.maximum(keras.ops.mean(counts, 1, keepdims=True), 1e-6)


@keras.saving.register_keras_serializable("zoo")
class PairwiseRanking(keras.losses.Loss):
    """Ranking of pictures and sentences in both directions: Kiros et al. 2014, section 2.2.

    Each pair's similarity is to be larger, by a margin, than that of its picture with other sentences of the batch and
    that of its sentence with other pictures. Predictions are (batch, 2, units), vectors of length 1 of picture and
    sentence; labels (batch,) number what is shown: pairs that show the same are not held against each other.

    Args:
        margin: The margin, 0.2 in the paper.
        name: Name of the loss.
    """

    def __init__(self, margin: float = 0.2, name: str = "pairwise_ranking", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops = keras.ops
        similarities = ops.matmul(y_pred[:, 0], ops.transpose(y_pred[:, 1]))
        own = ops.diagonal(similarities)
        other = ops.cast(y_true[:, None] != y_true[None], similarities.dtype)
        of_picture = ops.relu(self.margin - own[:, None] + similarities) * other
        of_sentence = ops.relu(self.margin - own[None] + similarities) * other
        return ops.sum(of_picture, 1) + ops.sum(of_sentence, 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}


class Batches:
    """Batches of pictures with a sentence each, in an order that is a function of seed and epoch.

    Args:
        part: Pictures and sentences.
        words: The vocabulary.
        config: Network, size of a batch and seed.
        shuffled: Whether order and choice of the sentences change from epoch to epoch; else each picture has its first.
    """

    def __init__(
        self, part: scenes.Captioned, words: Vocabulary, config: Captioning, *, shuffled: bool = False
    ) -> None:
        self._part, self._config, self._shuffled = part, config, shuffled
        self._begins = np.cumsum([0, *map(len, part.captions)])
        self._heard, self._said = words.pairs([text for texts in part.captions for text in texts])
        self._embeds = config.network == "embedding"
        self._shown = same_scene(part.captions)
        self.element_spec = (
            {
                "picture": tf.TensorSpec((None, *part.pictures.shape[1:]), tf.float32),
                "words": tf.TensorSpec((None, words.length + 1), tf.int32),
            },
            tf.TensorSpec((None,) if self._embeds else (None, words.length + 1), tf.int32),
        )

    def __len__(self) -> int:
        return -(-len(self._part) // self._config.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """The batches of an epoch, from one of them on."""
        order, which = np.arange(len(self._part)), np.zeros(len(self._part), int)
        if self._shuffled:
            chance = np.random.default_rng([self._config.seed, epoch])
            chance.shuffle(order)
            which = chance.integers(np.diff(self._begins))
        begin = start * self._config.batch_size
        visits = tf.data.Dataset.from_tensor_slices((order[begin:], which[order][begin:]))
        batches = visits.batch(self._config.batch_size)
        return batches.map(self._fetch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _fetch(self, order: tf.Tensor, which: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        picture, words, said = tf.numpy_function(self._take, (order, which), (tf.float32, tf.int32, tf.int32))
        found = {"picture": picture, "words": words}, said
        return tf.nest.map_structure(lambda part, spec: tf.ensure_shape(part, spec.shape), found, self.element_spec)

    def _take(self, order: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pictures = self._part.pictures[order].astype("float32")
        if self._config.blind:
            pictures[:] = 0
        sentences = self._begins[order] + which
        if self._embeds:
            return pictures, self._said[sentences], self._shown[order]
        return pictures, self._heard[sentences], self._said[sentences]


def same_scene(captions: Sequence[Sequence[str]]) -> np.ndarray:
    """A number for each picture, equal where all sentences are."""
    numbers: dict[tuple[str, ...], int] = {}
    return np.array([numbers.setdefault(tuple(sorted(texts)), len(numbers)) for texts in captions], "int32")


def load(config: Captioning, split: str) -> scenes.Captioned:
    """A split of the data of a training."""
    return scenes.load(config.data, split, size=config.size, count=config.count, seed=config.seed)


def train(config: Captioning, folder: str | Path | None = None) -> "Run":
    """Train a network and score it on the test split.

    Args:
        config: What is trained.
        folder: New folder for configuration, vocabulary, model, checkpoints, result and `report.html`; an interrupted
            training in it goes on, a finished one is opened. None for none.

    Returns:
        The trained network with its result.

    Raises:
        ValueError: The folder holds another training, or the data cannot be used.
    """
    if config.network != "embedding":
        require_sacrebleu()
    folder = None if folder is None else Path(folder)
    facts = json.loads(json.dumps(dataclasses.asdict(config)))
    if folder is not None:
        if (folder / CONFIG).is_file():
            if json.loads((folder / CONFIG).read_text(encoding="utf-8"))["training"] != facts:
                raise ValueError(f"{folder} holds another training. Choose another folder, or remove it.")
            if (folder / RESULT).is_file():
                return open_run(folder)
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty, and holds no training of this kind.")
    parts = {split: load(config, split) for split in scenes.SPLITS}
    known = parts["train"]
    words = vocabulary.fit(
        [text for texts in known.captions for text in texts], max_words=config.max_words, max_length=config.max_length
    )
    seed_everything(config.seed)
    model = networks.build(config, known.pictures.shape[1:], len(words), words.length + 1)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / VOCABULARY, words.form)
        files.write_json(folder / CONFIG, {"training": facts, "picture_shape": known.pictures.shape[1:]})
    seconds = _fit(model, config, words, parts, folder)
    run = Run(model, config, words, tuple(known.pictures.shape[1:]), {"seconds": round(seconds, 1)})
    run.result.update(run.evaluate(parts["test"]))
    if folder is not None:
        with tempfile.TemporaryDirectory() as temporary:
            model.save(Path(temporary) / MODEL)
            files.write_atomic(folder / MODEL, (Path(temporary) / MODEL).read_bytes())
        report.write(folder, run, parts["test"], known)
        files.write_json(folder / RESULT, run.result)
    return run


def _fit(
    model: keras.Model, config: Captioning, words: Vocabulary, parts: dict[str, scenes.Captioned], folder: Path | None
) -> float:
    """Train; the seconds that it took, those before an interruption among them."""
    batches = Batches(parts["train"], words, config, shuffled=True)
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * len(batches))
    loss = PairwiseRanking(config.margin) if config.network == "embedding" else WordCrossEntropy()
    trainer = training.Trainer(
        model, optimizer=keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, clipnorm=1.0), loss=loss,
        metrics=(),
    )  # fmt: skip
    clock = _Clock()
    with contextlib.ExitStack() as stack:
        store = None
        callbacks: list[keras.callbacks.Callback] = [clock]
        if folder is not None:
            store = stack.enter_context(contextlib.closing(training.Checkpoints(folder / "checkpoints")))
            callbacks.append(training.MetricsLog(folder))
        callbacks.append(stack.enter_context(training.ProgressBar(config.batch_size)))
        try:
            trainer.fit(
                batches,
                epochs=config.epochs,
                validation=Batches(parts["validation"], words, config),
                callbacks=callbacks,
                checkpoints=store,
            )
        except tf.errors.OpError as error:
            # A picture that cannot be read is met in a thread of TensorFlow's.
            if "DataError: " not in str(error.message):
                raise
            raise ValueError(error.message.split("DataError: ")[1].splitlines()[0]) from None
    return clock.seconds


class _Clock(keras.callbacks.Callback):
    """Seconds of training; a checkpoint keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds += time.monotonic() - self._began


@dataclass(frozen=True)
class Run:
    """A trained network.

    Attributes:
        model: The network, as `networks.build` makes it.
        config: What it was trained by.
        words: Its vocabulary.
        picture_shape: Height, width and channels of its pictures.
        result: What came of the training: seconds, scores on the test split.
    """

    model: keras.Model
    config: Captioning
    words: Vocabulary
    picture_shape: tuple[int, int, int]
    result: dict[str, Any]

    @property
    def encoder(self) -> keras.Model:
        """From pictures to the vectors of their places."""
        return keras.Model(self._input("picture"), self.model.get_layer(networks.ANNOTATIONS).output)

    @property
    def decoder(self) -> networks.Decoder:
        """The decoder; raises a ValueError for an embedding."""
        if self.config.network == "embedding":
            raise ValueError("This run embeds pictures and sentences; it says nothing. Train gru or transformer.")
        return self.model.get_layer(networks.DECODER)

    def _input(self, name: str) -> Any:
        return next(tensor for tensor in self.model.inputs if tensor.name == name)

    def search(self, *, beams: int | None = None, normalisation: float | None = None) -> Any:
        """A function of TensorFlow's from pictures (batch, height, width, channels) to `search.Found`.

        Args:
            beams: Sentences that are kept; None for the run's own.
            normalisation: Power of the length's penalty; None for the run's own.
        """
        encoder, decoder = self.encoder, self.decoder
        blind = 0.0 if self.config.blind else 1.0
        options: dict[str, Any] = {
            "beams": beams or self.config.beams,
            "normalisation": self.config.normalisation if normalisation is None else normalisation,
        }

        def find(pictures: tf.Tensor) -> Found:
            annotations = encoder(tf.cast(pictures, tf.float32) * blind, training=False)
            return beam_search(
                decoder.step, decoder.start(annotations), length=self.words.length, start=vocabulary.START_WORD,
                end=vocabulary.END_WORD, forbidden=(0, vocabulary.UNKNOWN_WORD, vocabulary.START_WORD), **options,
            )  # fmt: skip

        signature = [tf.TensorSpec((None, *self.picture_shape), tf.uint8)]
        return tf.function(find, input_signature=signature, autograph=False)

    def captions(self, pictures: Any, *, beams: int | None = None) -> list[str]:
        """The best sentence for each picture.

        Args:
            pictures: (pictures, height, width, channels) uint8, or `scenes.Files`.
            beams: As `search` takes it.
        """
        find, size = self.search(beams=beams), self.config.batch_size
        found = []
        for begin in range(0, len(pictures), size):
            words = find(pictures[np.arange(begin, min(begin + size, len(pictures)))]).words.numpy()
            found += [self.words.text(sentences[0]) for sentences in words]
        return found

    def attention(self, picture: np.ndarray, sentence: str) -> np.ndarray:
        """Where the network looks for each word of a sentence.

        Args:
            picture: (height, width, channels) uint8.
            sentence: The sentence.

        Returns:
            (words and end, height, width) of the feature map; each sums to 1.
        """
        heard, said = self.words.pairs([sentence])
        annotations = self.model.get_layer(networks.ANNOTATIONS)
        weights = self.decoder.read(heard, self.encoder(picture[None].astype("float32"), training=False), False)[1]
        count = int((said[0] > 0).sum())
        return np.asarray(weights)[0, :count].reshape(count, *annotations.input.shape[1:3])

    def embed(self, part: scenes.Captioned) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vectors of pictures (pictures, units) and of sentences (sentences, units), and whose picture each is."""
        owners = np.repeat(np.arange(len(part)), [len(texts) for texts in part.captions])
        _, said = self.words.pairs([text for texts in part.captions for text in texts])
        ends = [self.model.get_layer(name).output for name in ("picture_vector", "sentence_vector")]
        size = self.config.batch_size
        see, hear = (
            tf.function(keras.Model(self._input(name), end), reduce_retracing=True)
            for name, end in zip(("picture", "words"), ends, strict=True)
        )
        pictures = [
            see(tf.constant(part.pictures[np.arange(begin, min(begin + size, len(part)))].astype("float32")))
            for begin in range(0, len(part), size)
        ]
        sentences = [hear(tf.constant(said[begin : begin + size])) for begin in range(0, len(said), size)]
        return np.concatenate(pictures), np.concatenate(sentences), owners

    def retrieve(self, sentence: str, part: scenes.Captioned, *, most: int) -> list[tuple[int, float]]:
        """The pictures that fit a sentence best: their numbers and similarities, -1 to 1.

        Raises:
            ValueError: The run is no embedding.
        """
        if self.config.network != "embedding":
            raise ValueError(f"Pictures are found by an embedding. Received: a run of {self.config.network}")
        pictures, _, _ = self.embed(part)
        (vector,) = self.embed(scenes.Captioned(part.pictures[np.arange(1)], ((sentence,),)))[1]
        similarities = pictures @ vector
        return [(int(number), float(similarities[number])) for number in np.argsort(-similarities)[:most]]

    def evaluate(self, part: scenes.Captioned) -> dict[str, Any]:
        """Scores on a split, as plain JSON."""
        if self.config.network != "embedding":
            found: Scores = score(self.captions(part.pictures), part.captions)
            return json.loads(json.dumps(dataclasses.asdict(found)))
        pictures, sentences, owners = self.embed(part)
        shown = same_scene(part.captions)
        right = shown[:, None] == shown[owners][None]
        both: dict[str, Retrieval] = {
            "sentences of a picture": retrieval(pictures @ sentences.T, right),
            "pictures of a sentence": retrieval(sentences @ pictures.T, right.T),
        }
        return json.loads(json.dumps({name: dataclasses.asdict(one) for name, one in both.items()}))


def open_run(folder: str | Path) -> Run:
    """A finished training.

    Raises:
        ValueError: The folder holds none.
    """
    folder = Path(folder)
    if not (folder / RESULT).is_file():
        raise ValueError(f"{folder} holds no finished training: {RESULT} is not there.")
    facts, form, result = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in (CONFIG, VOCABULARY, RESULT)
    )
    model = keras.models.load_model(folder / MODEL, compile=False)
    height, width, channels = facts["picture_shape"]
    config = Captioning(**facts["training"])
    return Run(model, config, Vocabulary.from_form(form), (height, width, channels), result)

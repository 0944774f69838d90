"""Networks that say what they see, over a feature map of any body.

- "gru": Xu et al., "Show, Attend and Tell", 2015, https://arxiv.org/abs/1502.03044: before each word an additive
  attention looks over the feature map (equations 4 to 6 and 13), a gate weighs what was seen (section 4.2.1), and word,
  state and sight together give the next word (equation 7). Differences: a gated recurrent unit in place of an LSTM, a
  code of the place is added to the feature map, and nothing asks that all places are looked at alike (equation 14).
- "transformer": Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762, the decoder, with
  layer normalisation before each part instead of behind it.
- "embedding": Kiros, Salakhutdinov, Zemel, "Unifying Visual-Semantic Embeddings", 2014,
  https://arxiv.org/abs/1411.2539, section 2.2: the averaged feature map and the last state of a recurrent network over
  the words, both projected to unit length. Difference: a gated recurrent unit in place of an LSTM.

A decoder reads whole sentences in training (`call`), and goes word by word, with a state that it keeps, when it answers
(`start`, `step`); both give the same logits. In a state everything has the batch in front, so that a search can pick
and repeat its rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

import zoo
from applications.caption.config import Captioning

ANNOTATIONS, DECODER = "annotations", "decoder"

State = dict[str, Any]


@keras.saving.register_keras_serializable("zoo")
class Annotations(layers.Layer):
    """A feature map as a sequence of vectors, each with a code of its place.

    The code is that of transformers, sines and cosines of falling frequency, half of the channels for the row and half
    for the column. Attention over the vectors would else not know where they come from.

    Args:
        units: Channels of the vectors, a multiple of 4.

    Takes (batch, height, width, channels), gives (batch, height * width, units).
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units % 4:
            raise ValueError(f"units must be a multiple of 4. Received: units={units}")
        self.units = units
        self.project = layers.Dense(units, name="project")
        self.normalise = layers.LayerNormalization(name="normalise")

    def build(self, input_shape: Sequence[Any]) -> None:
        self.project.build(input_shape)
        self.normalise.build((input_shape[0], None, self.units))
        self.built = True

    def call(self, x: Any) -> Any:
        batch, height, width, _ = ops.shape(x)
        frequencies = ops.exp(ops.arange(self.units // 4, dtype="float32") * (-9.21 / (self.units // 4)))

        def code(length: Any) -> Any:
            angles = ops.arange(length, dtype="float32")[:, None] * frequencies
            return ops.concatenate([ops.sin(angles), ops.cos(angles)], -1)

        rows = ops.broadcast_to(code(height)[:, None], (height, width, self.units // 2))
        columns = ops.broadcast_to(code(width)[None], (height, width, self.units // 2))
        places = ops.cast(ops.concatenate([rows, columns], -1), x.dtype)
        return self.normalise(ops.reshape(self.project(x) + places, (batch, height * width, self.units)))

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        batch, height, width, _ = input_shape
        return batch, None if height is None or width is None else height * width, self.units

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Decoder(layers.Layer):
    """What all decoders share: see the module.

    Args:
        vocabulary: Number of words.
        units: Width.
        length: Most words that are read, the mark of the beginning among them.
        dropout: Fraction of values that is dropped in training.
    """

    def __init__(self, vocabulary: int, units: int, length: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.units, self.length, self.dropout = vocabulary, units, length, dropout

    def call(self, words: Any, annotations: Any, training: bool | None = None) -> Any:
        return self.read(words, annotations, training)[0]

    def compute_output_shape(self, words_shape: Sequence[Any], annotations_shape: Sequence[Any]) -> tuple[Any, ...]:
        return (*words_shape, self.vocabulary)

    def read(self, words: Any, annotations: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Logits of the next word behind each word, (batch, words, vocabulary), and where was looked for it.

        Args:
            words: (batch, words) whole numbers, the first of them the mark of the beginning.
            annotations: (batch, places, units).
            training: Whether values are dropped.

        Returns:
            The logits; weights (batch, words, places), which sum to 1 over the places.
        """
        raise NotImplementedError

    def start(self, annotations: Any) -> State:
        """The state before the first word."""
        raise NotImplementedError

    def step(self, words: Any, state: State) -> tuple[Any, State, Any]:
        """Read one word more.

        Args:
            words: (batch,) whole numbers.
            state: The state before.

        Returns:
            Logits (batch, vocabulary) of the next word, the state behind, weights (batch, places).
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        names = ("vocabulary", "units", "length", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("zoo")
class GRUDecoder(Decoder):
    """A gated recurrent unit that looks over the feature map before each word; see `Decoder`."""

    def __init__(self, vocabulary: int, units: int, length: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(vocabulary, units, length, dropout, **kwargs)
        self.embed = layers.Embedding(vocabulary, units, name="embed")
        self.begin = layers.Dense(units, activation="tanh", name="begin")
        self.key = layers.Dense(units, use_bias=False, name="key")
        self.query = layers.Dense(units, name="query")
        self.score = layers.Dense(1, use_bias=False, name="score")
        self.gate = layers.Dense(1, activation="sigmoid", name="gate")
        self.cell = layers.GRUCell(units, name="cell")
        self.of_state = layers.Dense(units, name="of_state")
        self.of_sight = layers.Dense(units, use_bias=False, name="of_sight")
        self.drop = layers.Dropout(dropout, name="drop")
        self.answer = layers.Dense(vocabulary, name="answer")

    def build(self, words_shape: Sequence[Any], annotations_shape: Sequence[Any]) -> None:
        width = (None, self.units)
        self.embed.build(words_shape)
        for layer in (self.begin, self.key):
            layer.build(annotations_shape)
        for layer in (self.query, self.score, self.gate, self.of_state, self.of_sight, self.answer):
            layer.build(width)
        self.cell.build((None, self.units + annotations_shape[-1]))
        self.built = True

    def start(self, annotations: Any) -> State:
        hidden = self.begin(ops.mean(annotations, 1))
        return {"hidden": hidden, "annotations": annotations, "keys": self.key(annotations)}

    def _advance(self, embedded: Any, state: State) -> tuple[Any, State, Any]:
        """What was seen, the state behind a word, and where was looked."""
        hidden, annotations = state["hidden"], state["annotations"]
        energies = self.score(ops.tanh(state["keys"] + self.query(hidden)[:, None]))[..., 0]
        weights = ops.softmax(energies)
        sight = self.gate(hidden) * ops.matmul(weights[:, None], annotations)[:, 0]
        hidden, _ = self.cell(ops.concatenate([embedded, sight], -1), [hidden])
        return sight, {**state, "hidden": hidden}, weights

    def _logits(self, embedded: Any, hidden: Any, sight: Any, training: bool | None) -> Any:
        mixed = embedded + self.of_state(hidden) + self.of_sight(sight)
        return self.answer(self.drop(mixed, training=training))

    def step(self, words: Any, state: State) -> tuple[Any, State, Any]:
        embedded = self.embed(words)
        sight, state, weights = self._advance(embedded, state)
        return self._logits(embedded, state["hidden"], sight, False), state, weights

    def read(self, words: Any, annotations: Any, training: bool | None = None) -> tuple[Any, Any]:
        embedded, state = self.drop(self.embed(words), training=training), self.start(annotations)
        seen, hidden, looked = [], [], []
        for place in range(words.shape[1]):
            sight, state, weights = self._advance(embedded[:, place], state)
            seen.append(sight)
            hidden.append(state["hidden"])
            looked.append(weights)
        logits = self._logits(embedded, ops.stack(hidden, 1), ops.stack(seen, 1), training)
        return logits, ops.stack(looked, 1)


@keras.saving.register_keras_serializable("zoo")
class Attention(layers.Layer):
    """Attention of several heads, whose keys and values can be kept from one word to the next.

    Args:
        units: Width, a multiple of `heads`.
        heads: Number of heads.
        dropout: Fraction of the weights that is dropped in training.
    """

    def __init__(self, units: int, heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.heads, self.dropout = units, heads, dropout
        self.query, self.key, self.value, self.output_projection = (
            layers.Dense(units, name=name) for name in ("query", "key", "value", "output")
        )
        self.drop = layers.Dropout(dropout, name="drop")

    def build(self, input_shape: Sequence[Any]) -> None:
        for layer in (self.query, self.key, self.value, self.output_projection):
            layer.build((None, self.units))
        self.built = True

    def attend(self, x: Any, keys: Any, values: Any, mask: Any = None, training: bool | None = None) -> tuple[Any, Any]:
        """Look at values.

        Args:
            x: (batch, words, units), those who look.
            keys: (batch, places, units), of the layer `key`.
            values: (batch, places, units), of the layer `value`.
            mask: Which places each may look at, (batch or 1, words, places); None for all.
            training: Whether weights are dropped.

        Returns:
            (batch, words, units); weights (batch, words, places), the mean over the heads.
        """
        width = self.units // self.heads
        queries, keys, values = (
            ops.transpose(ops.reshape(part, (-1, ops.shape(part)[1], self.heads, width)), (0, 2, 1, 3))
            for part in (self.query(x), keys, values)
        )
        energies = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) / width**0.5
        if mask is not None:
            energies = ops.where(mask[:, None], energies, -1e9)
        weights = ops.softmax(energies)
        seen = ops.matmul(self.drop(weights, training=training), values)
        seen = ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (-1, ops.shape(x)[1], self.units))
        return self.output_projection(seen), ops.mean(weights, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "heads": self.heads, "dropout": self.dropout}


@keras.saving.register_keras_serializable("zoo")
class TransformerDecoder(Decoder):
    """Blocks of attention to the words before, attention to the feature map, and two dense layers; see `Decoder`.

    Args:
        vocabulary: Number of words.
        units: Width.
        length: Most words that are read, the mark of the beginning among them.
        dropout: Fraction of values that is dropped in training.
        blocks: Number of blocks.
        heads: Of each attention.

    Where it looks is what the last block's heads do on average.
    """

    def __init__(
        self,
        vocabulary: int,
        units: int,
        length: int,
        dropout: float = 0.0,
        blocks: int = 2,
        heads: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary, units, length, dropout, **kwargs)
        self.blocks, self.heads = blocks, heads
        self.embed = layers.Embedding(vocabulary, units, name="embed")
        self.place = layers.Embedding(length, units, name="place")
        self.drop = layers.Dropout(dropout, name="drop")
        self.to_words = [Attention(units, heads, dropout, name=f"block{number}_words") for number in range(blocks)]
        self.to_places = [Attention(units, heads, dropout, name=f"block{number}_places") for number in range(blocks)]
        self.wide = [layers.Dense(4 * units, activation="gelu", name=f"block{n}_wide") for n in range(blocks)]
        self.narrow = [layers.Dense(units, name=f"block{number}_narrow") for number in range(blocks)]
        self.norms = [layers.LayerNormalization(name=f"norm{number}") for number in range(3 * blocks + 1)]
        self.answer = layers.Dense(vocabulary, name="answer")

    def build(self, words_shape: Sequence[Any], annotations_shape: Sequence[Any]) -> None:
        if annotations_shape[-1] != self.units:
            raise ValueError(f"The vectors of places must have {self.units} channels. Received: {annotations_shape}")
        width = (None, None, self.units)
        self.embed.build(words_shape)
        self.place.build(words_shape)
        for layer in (*self.to_words, *self.to_places, *self.wide, *self.norms, self.answer):
            layer.build(width)
        for layer in self.narrow:
            layer.build((None, None, 4 * self.units))
        self.built = True

    def start(self, annotations: Any) -> State:
        batch = ops.shape(annotations)[0]
        empty = ops.zeros((batch, self.blocks, self.length, self.units), annotations.dtype)
        return {
            "position": ops.zeros((batch,), "int32"),
            "keys": empty,
            "values": empty,
            "place_keys": ops.stack([layer.key(annotations) for layer in self.to_places], 1),
            "place_values": ops.stack([layer.value(annotations) for layer in self.to_places], 1),
        }

    def step(self, words: Any, state: State) -> tuple[Any, State, Any]:
        position = state["position"]
        x = (self.embed(words) + self.place(position))[:, None]
        here = ops.one_hot(position, self.length, dtype=x.dtype)[..., None]
        before = (ops.arange(self.length)[None] <= position[:, None])[:, None]
        keys, values = [], []
        for number in range(self.blocks):
            normal = self.norms[3 * number](x)
            layer = self.to_words[number]
            keys.append(state["keys"][:, number] + here * layer.key(normal))
            values.append(state["values"][:, number] + here * layer.value(normal))
            x = x + layer.attend(normal, keys[-1], values[-1], before)[0]
            x, weights = self._look(number, x, state["place_keys"][:, number], state["place_values"][:, number])
        state = {**state, "position": position + 1, "keys": ops.stack(keys, 1), "values": ops.stack(values, 1)}
        return self.answer(self.norms[-1](x))[:, 0], state, weights[:, 0]

    def _look(self, number: int, x: Any, keys: Any, values: Any, training: bool | None = False) -> tuple[Any, Any]:
        """The second and third part of a block."""
        seen, weights = self.to_places[number].attend(self.norms[3 * number + 1](x), keys, values, training=training)
        x = x + self.drop(seen, training=training)
        thought = self.narrow[number](self.wide[number](self.norms[3 * number + 2](x)))
        return x + self.drop(thought, training=training), weights

    def read(self, words: Any, annotations: Any, training: bool | None = None) -> tuple[Any, Any]:
        places = ops.arange(words.shape[1])
        x = self.drop(self.embed(words) + self.place(places), training=training)
        before = (places[None] <= places[:, None])[None]
        for number in range(self.blocks):
            normal = self.norms[3 * number](x)
            layer = self.to_words[number]
            seen, _ = layer.attend(normal, layer.key(normal), layer.value(normal), before, training)
            x = x + self.drop(seen, training=training)
            layer = self.to_places[number]
            x, weights = self._look(number, x, layer.key(annotations), layer.value(annotations), training)
        return self.answer(self.norms[-1](x)), weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "blocks": self.blocks, "heads": self.heads}


@keras.saving.register_keras_serializable("zoo")
class UnitLength(layers.Layer):
    """Vectors scaled to the length 1."""

    def call(self, x: Any) -> Any:
        return ops.normalize(x, axis=-1)


def body(config: Captioning, picture: Any) -> Any:
    """The feature map of the body over pictures of 0 to 255.

    Args:
        config: Says which body, and which of its endpoints.
        picture: Symbolic pictures (batch, height, width, channels).

    Returns:
        (batch, height / stride, width / stride, channels).

    Raises:
        ValueError: The body is no network for pictures, or the endpoint is none of its feature maps.
    """
    card = zoo.model_card(config.body)
    if card.modality != "image":
        raise ValueError(f"A body sees pictures. Received: {config.body!r}")
    if config.weights is None:
        low, high = card.value_range
        picture = layers.Rescaling((high - low) / 255, low, name="value_range")(picture)
    made = zoo.create_model(
        config.body, include_top=False, input_tensor=picture, weights=config.weights,
        include_preprocessing=config.weights is not None, **config.knobs,
    )  # fmt: skip
    maps = [name for name in zoo.endpoints(made) if len(made.get_layer(name).output.shape) == 4]
    endpoint = config.endpoint or maps[-1]
    if endpoint not in maps:
        raise ValueError(f"{config.body} has the feature maps {', '.join(maps)}. Received: endpoint={endpoint!r}")
    return made.get_layer(endpoint).output


def build(config: Captioning, picture_shape: Sequence[int], vocabulary: int, length: int) -> keras.Model:
    """The network of a training.

    Args:
        config: Says which.
        picture_shape: Height, width and channels.
        vocabulary: Number of words.
        length: Words of a sentence, the mark of the beginning (of the embedding: of the end) among them.

    Returns:
        A model from {"picture": (batch, height, width, channels) of 0 to 255, "words": (batch, length)} to logits
        (batch, length, vocabulary), or to the embeddings (batch, 2, units) of picture and sentence.
    """
    inputs: Mapping[str, Any] = {
        "picture": keras.Input(tuple(picture_shape), name="picture"),
        "words": keras.Input((length,), dtype="int32", name="words"),
    }
    seen = body(config, inputs["picture"])
    if config.network == "embedding":
        return keras.Model(inputs, _embedding(config, seen, inputs["words"], vocabulary), name="embedding")
    annotations = Annotations(config.units, name=ANNOTATIONS)(seen)
    arguments = (vocabulary, config.units, length, config.dropout)
    decoder: Decoder = (
        GRUDecoder(*arguments, name=DECODER)
        if config.network == "gru"
        else TransformerDecoder(*arguments, blocks=config.blocks, heads=config.heads, name=DECODER)
    )
    return keras.Model(inputs, decoder(inputs["words"], annotations), name=config.network)


def _embedding(config: Captioning, seen: Any, words: Any, vocabulary: int) -> Any:
    """Pictures and sentences as vectors of length 1; a dense layer before the average lets it know what is where."""
    picture = Annotations(config.units, name=ANNOTATIONS)(seen)
    picture = layers.Dense(config.units, activation="gelu", name="places")(picture)
    picture = layers.GlobalAveragePooling1D(name="pooled_places")(picture)
    picture = UnitLength(name="picture_vector")(layers.Dense(config.units, name="picture_projection")(picture))
    sentence = layers.Embedding(vocabulary, config.units, mask_zero=True, name="embed")(words)
    sentence = layers.GRU(config.units, name="reader")(sentence)
    sentence = UnitLength(name="sentence_vector")(layers.Dense(config.units, name="sentence_projection")(sentence))
    return ops.stack([picture, sentence], 1)

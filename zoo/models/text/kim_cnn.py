"""Kim's network for sentences: filters over three, four and five words, and the largest value of each.

Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014, https://arxiv.org/abs/1408.5882: figure 1,
table 2. Input: numbers of words, 0 for padding; 56 words, the longest sentence of the movie reviews (MR), and their
vocabulary of 18,765.

The four forms differ in their word vectors: `kim_cnn_rand` draws and trains them, `kim_cnn_static` keeps vectors that
are given, `kim_cnn_non_static` trains given ones, `kim_cnn_multichannel` has a copy of each kind. Vectors are given by
`zoo.data.text.read_vectors` and `model.get_layer("embedding").set_weights`.

Differences from the paper:
- The ends of a sentence are padded by half a filter of zeros on each side, where the paper's code adds four words.
- The vector of padding is trained with the others; the paper's code sets it to zero after each step.
- Words without a given vector start from the same uniform distribution as all others.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import FixedEmbedding, conv_1d, endpoint, full_precision, global_pooling
from zoo.registry import Card, Paper, Result, register

# Section 3.1: hyper-parameters; section 3.2: the range that vectors of unknown words are drawn from.
DIMENSIONS, WIDTHS, FILTERS, DROPOUT, MAX_NORM = 300, (3, 4, 5), 100, 0.5, 3.0
RANGE = 0.25
# 18,765 words of MR and the padding.
VOCABULARY = 18_766

Vectors = Literal["trained", "fixed", "both"]
Activation = Literal["relu", "tanh", "softplus", "sigmoid", "linear"]


def kim_cnn(
    x: keras.KerasTensor,
    *,
    vectors: Vectors,
    vocabulary: int = VOCABULARY,
    dimensions: int = DIMENSIONS,
    widths: tuple[int, ...] = WIDTHS,
    filters: int = FILTERS,
    activation: Activation = "relu",
) -> keras.KerasTensor:
    """Word vectors and filters of several widths side by side.

    Args:
        x: Numbers of words (batch, positions), 0 to vocabulary - 1.
        vectors: "trained", "fixed", or "both": each filter then sees both kinds and adds what it finds.
        vocabulary: Number of words, padding and unknown among them.
        dimensions: Length of a word's vector.
        widths: Number of words that filters span.
        filters: Number of filters of each width.
        activation: What each filter's answer passes through; Zhang and Wallace (2015) compare these.

    Returns:
        Feature map (batch, positions, len(widths) * filters).

    Raises:
        ValueError: No widths are given, or one comes twice.
    """
    if not widths or len(set(widths)) != len(widths):
        raise ValueError(f"widths must be different numbers of words, at least one. Received: widths={widths!r}")
    if vectors == "both":
        fixed = _embedding(x, vocabulary, dimensions, trainable=False, name="fixed_embedding")
        trained = _embedding(x, vocabulary, dimensions, trainable=True, name="embedding")
        # A filter that is applied to both and adds the results, section 2.1, is the filter of their sum.
        x = layers.Add(name="embedding_add")([fixed, trained])
    else:
        x = _embedding(x, vocabulary, dimensions, trainable=vectors == "trained", name="embedding")
    x = endpoint(x, "stem")
    maps = [
        layers.Activation(activation, name=f"conv{width}_{activation}")(conv_1d(x, filters, width, name=f"conv{width}"))
        for width in widths
    ]
    return endpoint(layers.Concatenate(axis=-1, name="concat")(maps) if len(maps) > 1 else maps[0], "stride1")


def _embedding(x, vocabulary, dimensions, *, trainable, name):
    initializer = keras.initializers.RandomUniform(-RANGE, RANGE)
    kind = layers.Embedding if trainable else FixedEmbedding
    return kind(vocabulary, dimensions, embeddings_initializer=initializer, name=name)(x)


def largest_value_head(
    x: keras.KerasTensor, classes: int, *, dropout: float = DROPOUT, max_norm: float = MAX_NORM
) -> keras.KerasTensor:
    """The largest value of each filter, dropout, dense.

    Args:
        x: Feature map (batch, positions, channels).
        classes: Number of classes.
        dropout: Fraction of the features that is dropped in training, 0 to 1.
        max_norm: Largest norm of the weights of a class; longer ones are scaled down after each step. 0 for no limit.

    Returns:
        Logits (batch, classes).
    """
    x = global_pooling(x, "max")
    x = layers.Dropout(dropout, name="head_dropout")(x)
    constraint = keras.constraints.MaxNorm(max_norm) if max_norm else None
    return layers.Dense(classes, kernel_constraint=constraint, dtype=full_precision(), name="logits")(x)


# name: vectors, parameters, numbers that are not trained, what it is, accuracy on MR in table 2
_FIXED, _REST = VOCABULARY * DIMENSIONS, 360_300 + 602
_ROWS = {
    "kim_cnn_rand": ("trained", _FIXED + _REST, 0, "word vectors trained from random ones", 76.1),
    "kim_cnn_static": ("fixed", _REST, _FIXED, "word vectors given and kept", 81.0),
    "kim_cnn_non_static": ("trained", _FIXED + _REST, 0, "word vectors given and trained on", 81.5),
    "kim_cnn_multichannel": ("both", _FIXED + _REST, _FIXED, "word vectors of both kinds, kept and trained", 81.1),
}

for _name, (_vectors, _params, _state, _what, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="kim_cnn",
            modality="text",
            summary=f"Kim's network for sentences: {_what}",
            paper=Paper(
                title="Convolutional Neural Networks for Sentence Classification",
                year=2014,
                url="https://arxiv.org/abs/1408.5882",
            ),
            input_shape=(56,),
            min_size=1,
            value_range=(0, VOCABULARY - 1),
            classes=2,
            num_params=_params,
            num_state=_state,
            # Each of 56 positions: 3, 4 and 5 words of 300 numbers to 100 filters; then 300 features to 2 classes.
            num_macs=56 * 12 * DIMENSIONS * FILTERS + 600,
            endpoints=("stem", "stride1", "pooled", "logits"),
            results=(Result(dataset="MR", top1=_top1, protocol="10-fold cross-validation", source="table 2"),),
        ),
        kim_cnn,
        largest_value_head,
        vectors=_vectors,
    )

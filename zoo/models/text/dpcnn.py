"""Deep pyramid network: a deep network for text that costs no more than twice its first block.

Johnson, Zhang, "Deep Pyramid Convolutional Neural Networks for Text Categorization", ACL 2017,
https://aclanthology.org/P17-1052: figure 1a. Input: numbers of words, 0 for padding. Published: error on AG's News with
region embeddings from unlabelled text, table 2.

Differences from the paper:
- A region of three words is a convolution over vectors of 300 numbers, the paper's over one-hot words of a vocabulary
  of 30,000: a hundred times the weights. Embeddings from unlabelled text are left out.
- Where the resolution halves, a window of three keeps the position in its middle, with zeros at the end.
"""

import keras
from keras import layers

from zoo.layers import conv_1d, endpoint, global_pooling, logits, max_pool_1d, relu
from zoo.registry import Card, Paper, Result, register

# Section 3: words, filters, and blocks that make 15 layers with the region embedding.
VOCABULARY, DIMENSIONS, FILTERS, BLOCKS = 30_000, 300, 250, 7


def dpcnn(
    x: keras.KerasTensor,
    *,
    vocabulary: int = VOCABULARY,
    dimensions: int = DIMENSIONS,
    filters: int = FILTERS,
    blocks: int = BLOCKS,
) -> keras.KerasTensor:
    """A region embedding, and blocks of two convolutions of three taps; each but the first begins with pooling by 2.

    Args:
        x: Numbers of words (batch, positions), 0 to vocabulary - 1.
        vocabulary: Number of words, padding and unknown among them.
        dimensions: Length of a word's vector.
        filters: Number of filters of every convolution.
        blocks: Number of blocks, at least 1.

    Returns:
        Feature map (batch, positions / 2 ** (blocks - 1), filters).

    Raises:
        ValueError: There are fewer blocks than one.
    """
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1. Received: blocks={blocks}")
    initializer = keras.initializers.RandomNormal(stddev=0.05)
    x = layers.Embedding(vocabulary, dimensions, embeddings_initializer=initializer, name="embedding")(x)
    x = endpoint(conv_1d(x, filters, 3, name="region"), "stem")
    for index in range(blocks):
        if index:
            x = endpoint(x, f"stride{2 ** (index - 1)}")
            x = max_pool_1d(x, 3, strides=2, padding="same", name=f"block{index + 1}_pool")
        x = _block(x, filters, name=f"block{index + 1}")
    return endpoint(x, f"stride{2 ** (blocks - 1)}")


def _block(x, filters, *, name):
    """ReLU before each of two convolutions, and a shortcut on which nothing stands."""
    y = x
    for index in (1, 2):
        y = conv_1d(relu(y, name=f"{name}_relu{index}"), filters, 3, name=f"{name}_conv{index}")
    return layers.Add(name=f"{name}_add")([x, y])


def largest_value_head(x: keras.KerasTensor, classes: int, *, dropout: float = 0.5) -> keras.KerasTensor:
    """The largest value of each channel, dropout, dense.

    Args:
        x: Feature map (batch, positions, channels).
        classes: Number of classes.
        dropout: Fraction of the features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    x = layers.Dropout(dropout, name="head_dropout")(global_pooling(x, "max"))
    return logits(x, classes)


register(
    Card(
        name="dpcnn",
        family="dpcnn",
        modality="text",
        summary="Deep pyramid network for text, 15 layers, half the positions after every two",
        paper=Paper(
            title="Deep Pyramid Convolutional Neural Networks for Text Categorization",
            year=2017,
            url="https://aclanthology.org/P17-1052",
        ),
        input_shape=(256,),
        min_size=1,
        value_range=(0, VOCABULARY - 1),
        classes=4,
        num_params=11_854_754,
        num_state=0,
        num_macs=248_101_000,
        endpoints=(
            "stem", "stride1", "stride2", "stride4", "stride8", "stride16", "stride32", "stride64", "pooled", "logits",
        ),
        results=(Result(dataset="AG's News", top1=93.13, protocol="test set", source="table 2"),),
    ),
    dpcnn,
    largest_value_head,
)  # fmt: skip

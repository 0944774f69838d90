"""Very deep networks that read characters: VGG and ResNet for text.

Conneau, Schwenk, Barrault, LeCun, "Very Deep Convolutional Networks for Text Classification", EACL 2017,
https://arxiv.org/abs/1606.01781: figure 1, table 2. Input: 1,014 numbers of characters. Published: error on AG's News
with max-pooling, table 5.

Differences from the paper:
- `zoo train` gives it 71 numbers of characters where the paper has 69 (`vocabulary`).
- Shortcuts are a keyword, `shortcut=True`; the paper's best results, but for the deepest network, are without them.
- Weights start from He's normal distribution, the paper's from the same for its convolutions and does not say for the
  dense layers.
"""

import keras
from keras import layers

from zoo.layers import KMaxPooling1D, batch_norm, conv_1d, endpoint, logits, max_pool_1d, relu
from zoo.registry import Card, Paper, Result, register

EPSILON, MOMENTUM = 1e-5, 0.9

# Section 3.1: characters with padding, space and unknown; length of their vectors; values that k-max pooling keeps.
CHARACTERS, DIMENSIONS, K = 69, 16, 8
FILTERS = (64, 128, 256, 512)


def vdcnn(
    x: keras.KerasTensor, *, convolutions: tuple[int, ...], vocabulary: int = CHARACTERS, shortcut: bool = False
) -> keras.KerasTensor:
    """Character vectors, and convolutions of three taps at four resolutions.

    Args:
        x: Numbers of characters (batch, positions), 0 to vocabulary - 1.
        convolutions: Number of convolutions of each resolution, even.
        vocabulary: Number of characters, padding and unknown among them.
        shortcut: Whether every two convolutions have a shortcut.

    Returns:
        Feature map (batch, positions / 8, 512).
    """
    initializer = keras.initializers.RandomNormal(stddev=0.05)
    x = layers.Embedding(vocabulary, DIMENSIONS, embeddings_initializer=initializer, name="embedding")(x)
    x = endpoint(conv_1d(x, FILTERS[0], 3, name="stem_conv"), "stem")
    for level, (filters, count) in enumerate(zip(FILTERS, convolutions, strict=True), 1):
        if level > 1:
            x = endpoint(x, f"stride{2 ** (level - 2)}")
            x = max_pool_1d(x, 3, strides=2, padding="same", name=f"stage{level}_pool")
        for block in range(1, count // 2 + 1):
            x = _block(x, filters, shortcut, name=f"stage{level}_block{block}")
    return endpoint(x, "stride8")


def _block(x, filters, shortcut, *, name):
    """Figure 2: two convolutions, each with batch norm and ReLU."""
    y = x
    for index in (1, 2):
        y = conv_1d(y, filters, 3, use_bias=False, name=f"{name}_conv{index}")
        y = batch_norm(y, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn{index}")
        if index == 1 or not shortcut:
            y = relu(y, name=f"{name}_relu{index}")
    if not shortcut:
        return y
    if x.shape[-1] != filters:
        x = conv_1d(x, filters, 1, use_bias=False, name=f"{name}_shortcut_conv")
        x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_shortcut_bn")
    return relu(layers.Add(name=f"{name}_add")([x, y]), name=f"{name}_relu2")


def largest_values_head(x: keras.KerasTensor, classes: int, *, hidden_units: int = 2048) -> keras.KerasTensor:
    """The eight largest values of each channel in their order, and two hidden layers.

    Args:
        x: Feature map (batch, positions, channels).
        classes: Number of classes.
        hidden_units: Units of each hidden layer.

    Returns:
        Logits (batch, classes).
    """
    x = KMaxPooling1D(K, name="k_max")(x)
    x = layers.Flatten(data_format="channels_last", name="flatten")(x)
    for index in (1, 2):
        x = layers.Dense(hidden_units, kernel_initializer="he_normal", name=f"hidden{index}")(x)
        x = relu(x, name=f"hidden{index}_relu")
    return logits(x, classes)


# Table 2. name: convolutions of each resolution, parameters, statistics, multiply-accumulates, accuracy on AG's News
_ROWS = {
    "vdcnn9": ((2, 2, 2, 2), 14_176_148, 3_840, 302_729_216, 90.83),
    "vdcnn17": ((4, 4, 4, 4), 16_268_948, 7_680, 677_120_000, 91.12),
    "vdcnn29": ((10, 10, 4, 4), 16_639_892, 9_984, 901_400_576, 91.33),
    "vdcnn49": ((16, 16, 10, 6), 19_768_468, 17_408, 1_625_065_472, None),
}

for _name, (_convolutions, _params, _state, _macs, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="vdcnn",
            modality="text",
            symbols="characters",
            summary=f"Very deep network that reads characters, {sum(_convolutions) + 1} convolutions",
            paper=Paper(
                title="Very Deep Convolutional Networks for Text Classification",
                year=2016,
                url="https://arxiv.org/abs/1606.01781",
            ),
            input_shape=(1014,),
            min_size=57,
            value_range=(0, CHARACTERS - 1),
            classes=4,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride1", "stride2", "stride4", "stride8", "logits"),
            results=(Result(dataset="AG's News", top1=_top1, protocol="test set", source="table 5"),) if _top1 else (),
        ),
        vdcnn,
        largest_values_head,
        convolutions=_convolutions,
    )

"""What every registered model promises, checked over the whole registry.

Three tiers keep this affordable when the registry has more than a hundred names. Checks of a variant's numbers
(parameters, multiply-accumulates, endpoints, the card) run for EVERY name: they only build the model, once. Checks of
behaviour (training, saving, precision) run for ONE model of each architecture, the smallest with the same backbone,
block and head: variants of an architecture differ in their rows alone, and a row is nothing but numbers. Checks of
sizes run for ONE model of each family. By default both run for the smallest of most families of pictures and boards,
and for some others; the rest is slow.
"""

import dataclasses
import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from representatives import architecture, cheapest

import zoo
from zoo import registry
from zoo.builder import builder
from zoo.drawing import undrawn

NAMES = zoo.list_models()
# Networks with layers of our own, which a process must import `zoo` to load; all others are made of Keras's alone.
OWN_LAYERS = (
    "lenet5", "abdel_hamid_lws", "char_cnn_large", "char_cnn_small", "kim_cnn_multichannel", "kim_cnn_static",
    "go_course", "go_maddison", "go_rollout", *zoo.list_models("go_policy_*"), *zoo.list_models("bc_resnet*"),
    *zoo.list_models("vdcnn*"),
)  # fmt: skip
# Networks whose biases for each position fix the size also without the head.
FIXED_SIZE = ("go_maddison",)
# A thousand layers take as long to build as forty other networks together.
DEEPEST = ("resnet1001_v2", "resnet1202")

# What takes longest among the families: GoogLeNet and MobileNet v1 and v3 have what the default run needs of them.
SLOW_FAMILIES = ("inception_v2", "inception_v3", "inception_v4", "inception_resnet", "mobilenet_v2")

# Of so many layers that their behaviour takes minutes. Others have these layers; tests/parity holds their outputs.
LONGEST = ("densenet_bc100_k12", "inception_resnet_v1", "inception_v4")

# The depth that the name of a residual or dense network tells. Wide networks for CIFAR count in another way.
DEPTHS = {
    name: int(re.search(r"\d+", name)[0])
    for name in NAMES
    if zoo.model_card(name).family in ("resnet", "resnet_v2", "densenet")
    and ("wide" not in name or zoo.model_card(name).classes == 1000)
}
# Table 1's blocks of 6, 12, 64 and 48 layers make 265; the paper calls that 264.
DEPTHS["densenet264"] = 265

REPRESENTATIVES = cheapest(architecture, NAMES)
# Those whose behaviour is checked in the default run: of sound, text and signals these, of the rest one of each family.
QUICK = (
    "cnn_one_fpool3", "dilated_denoiser", "ds_cnn_s", "fcn_1d", "kim_cnn_multichannel",
    *cheapest(lambda name: zoo.model_card(name).family, [
        name for name in NAMES if zoo.model_card(name).modality in ("image", "board")
        and zoo.model_card(name).family not in SLOW_FAMILIES
    ]),
)  # fmt: skip
WORDS = 60


# Whose sizes are checked: the smallest of each family. What else an architecture has, its sizes are its family's.
SIZED = cheapest(lambda name: zoo.model_card(name).family, NAMES)


def marked(names):
    """The names as parameters, with what the default run leaves out as slow, and CI too as exhaustive."""
    return [pytest.param(name, marks=[] if name in QUICK else
                         [pytest.mark.slow, *([pytest.mark.exhaustive] if name in LONGEST else [])])
            for name in names]  # fmt: skip


def is_board(name):
    return zoo.model_card(name).modality == "board"


def gives_a_signal(name):
    return zoo.model_card(name).activation is None


def sized(name, size):
    """An input shape with this size along all axes that may have any."""
    card = zoo.model_card(name)
    return (size,) * card.num_sizes + card.input_shape[card.num_sizes :]


def small_shape(name):
    """A small legal input for the checks of behaviour."""
    return sized(name, max(zoo.model_card(name).min_size, 8 if is_board(name) else 32))


def small_knobs(name):
    """A narrow dense head and few words where the network has many: most of its weights would lie there."""
    small = {"hidden_units": 32, "vocabulary": WORDS, "dimensions": 16}
    return {key: value for key, value in small.items() if key in inspect.signature(builder(name)).parameters}


def classes_for(name, shape, wanted):
    """The number of classes: as wanted, but a board's are its points, with the pass, or one value."""
    card = zoo.model_card(name)
    if gives_a_signal(name):
        return card.classes
    if not is_board(name):
        return wanted
    points = card.input_shape[0] * card.input_shape[1]
    return card.classes if card.classes < points else card.classes - points + shape[0] * shape[1]


def depth(model):
    """The number of convolutions, without the projections of shortcuts, and the dense layer."""
    convolutions = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum("shortcut" not in name for name in convolutions) + 1


def small_model(name, /, **arguments):
    shape = small_shape(name)
    standard = {"classes": classes_for(name, shape, 7), "input_shape": shape}
    return zoo.create_model(name, **{**standard, **small_knobs(name), **arguments})


def examples(name, shape, count=2, seed=0):
    """Random pictures, boards, spectrograms or signals, or random numbers of words."""
    rng = np.random.default_rng(seed)
    if zoo.model_card(name).modality == "text":
        return rng.integers(0, WORDS, (count, *shape), dtype="int32")
    return rng.uniform(-1, 1, (count, *shape)).astype("float32")


def answers(model, inputs, training=False):
    """What a model says, each output in a row of its own behind the other."""
    outputs = model(inputs, training=training)
    if not isinstance(outputs, dict):
        return outputs
    return tf.concat([outputs[key] for key in sorted(outputs)], axis=-1)


def says_classes(model):
    """Whether the first output is of classes, which a lone value is not."""
    return not isinstance(model.output, dict) or "predictions" in model.output


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in DEEPEST else ()) for name in NAMES],
)
def default(request):
    """Each model as its builder makes it without arguments; built once for all checks of its numbers."""
    with undrawn():
        model = builder(request.param)()
    yield request.param, model
    keras.utils.clear_session()


def test_default_model_has_the_numbers_of_its_card(default):
    name, model = default
    card = zoo.model_card(name)
    assert model.name == name
    assert model.input_shape == (None, *card.input_shape)
    outputs = model.output if isinstance(model.output, dict) else {"predictions": model.output}
    places = card.input_shape[:-1] if gives_a_signal(name) else ()
    assert outputs["predictions" if says_classes(model) else "value"].shape == (None, *places, card.classes)
    assert zoo.count_params(model) == (card.num_params, card.num_state)
    assert zoo.count_macs(model) == card.num_macs
    assert tuple(zoo.endpoints(model)) == card.endpoints
    if name in DEPTHS:
        assert depth(model) == DEPTHS[name]


def test_stride_endpoints_have_the_stride_of_their_name(default):
    name, model = default
    axes = zoo.model_card(name).num_sizes  # bands are no scale: their number is the front-end's
    strides = [endpoint for endpoint in zoo.endpoints(model) if endpoint.startswith("stride")]
    assert strides
    for endpoint in strides:
        stride = int(endpoint.removeprefix("stride"))
        assert zoo.receptive_field(model, endpoint).stride[:axes] == (stride,) * axes


def test_default_model_loads_without_any_code_of_ours(default):
    name, model = default
    kinds = {type(layer).__module__.split(".")[0] for layer in model.layers}
    assert kinds == ({"keras", "zoo"} if name in OWN_LAYERS else {"keras"})


@pytest.mark.parametrize("name", NAMES)
def test_card_is_complete(name):
    card = zoo.model_card(name)
    assert card.name == name
    assert len(card.summary) > 20
    assert not card.summary.endswith(".")
    assert 1980 <= card.paper.year <= 2026
    assert re.fullmatch(r"https?://\S+", card.paper.url)
    assert len(card.paper.title) > 10
    assert card.value_range[0] < card.value_range[1]
    assert 1 <= card.min_size <= min(card.input_shape[: card.num_sizes])
    for result in card.results:
        assert 0 < result.top1 <= 100
        assert result.top5 is None or result.top1 < result.top5 <= 100
        assert result.dataset
        assert result.protocol
        assert result.source


@pytest.mark.parametrize("name", NAMES)
def test_builder_has_a_signature_and_a_docstring_of_its_own(name):
    function = getattr(zoo.models, name)
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:4] == ["include_top", "weights", "input_tensor", "input_shape"]
    assert list(parameters)[4:8] == ["pooling", "classes", "classifier_activation", "name"]
    assert parameters["classes"].default == zoo.model_card(name).classes
    assert function.__name__ == name
    for argument in parameters:
        assert f"\n    {argument}: " in function.__doc__, argument
    assert "Differences" not in function.__doc__


def test_one_representative_stands_for_each_architecture():
    assert {architecture(name) for name in REPRESENTATIVES} == {architecture(name) for name in NAMES}
    assert len(REPRESENTATIVES) == len({architecture(name) for name in NAMES})


@dataclasses.dataclass(frozen=True)
class Small:
    """A representative at a small size with its initial weights, and what it says to two examples in inference."""

    name: str
    model: keras.Model
    initial: list[np.ndarray]
    inputs: np.ndarray
    expected: np.ndarray


@pytest.fixture(scope="module", params=marked(REPRESENTATIVES))
def small(request):
    """One model for all checks of behaviour that leave it as it was; built once, from seed 1."""
    keras.utils.set_random_seed(1)
    model = small_model(request.param)
    inputs = examples(request.param, model.input_shape[1:])
    yield Small(request.param, model, model.get_weights(), inputs, answers(model, inputs).numpy())
    keras.utils.clear_session()


@pytest.fixture
def restored(small):
    """The same model for a check that moves its statistics; they are put back."""
    yield small
    small.model.set_weights(small.initial)


def loss_of(name, inputs, outputs):
    """Cross-entropy, the squared distance of a value from 1, or of a signal from another."""
    if gives_a_signal(name):
        return tf.reduce_mean(tf.square(outputs - tf.sin(inputs)))
    if not isinstance(outputs, dict):
        outputs = {"predictions": outputs}
    loss = 0.0
    if "predictions" in outputs:
        labels = np.arange(len(inputs)) % 7
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, outputs["predictions"]))
    return loss + tf.reduce_mean((1 - outputs["value"]) ** 2) if "value" in outputs else loss


def test_step_moves_every_weight_and_training_alone_moves_statistics(restored):
    model = restored.model
    inputs = examples(restored.name, model.input_shape[1:], 32 if "value" in zoo.endpoints(model) else 8)
    trained = {id(variable) for variable in model.trainable_variables}
    state = [variable for variable in model.weights if id(variable) not in trained]
    before = [variable.numpy().copy() for variable in state]

    model(inputs, training=False)
    assert all(np.array_equal(old, new.numpy()) for old, new in zip(before, state, strict=True))

    with tf.GradientTape() as tape:
        loss = loss_of(restored.name, inputs, model(inputs, training=True))
    gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]
    assert np.isfinite(loss.numpy())
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path
    moved = [not np.array_equal(old, new.numpy()) for old, new in zip(before, state, strict=True)]
    for variable, has_moved in zip(state, moved, strict=True):
        assert has_moved == ("moving" in variable.path), variable.path


def kernels(weights):
    """What is drawn; biases begin with zeros, also those of positions."""
    return [array for array in weights if array.ndim > 1 and array.any()]


def test_same_seed_gives_the_same_weights_and_an_input_tensor_its_logits(small):
    """The second model from the same seed takes its input from another layer and ends with its logits."""
    first = kernels(small.initial)
    assert len({kernel.tobytes() for kernel in first}) == len(first)

    is_text = small.inputs.dtype == "int32"
    source = keras.Input(small.model.input_shape[1:], dtype=small.inputs.dtype.name)
    before = keras.layers.Identity() if is_text else keras.layers.Rescaling(2.0)
    keras.utils.set_random_seed(1)
    model = small_model(
        small.name,
        input_tensor=before(source),
        input_shape=None,
        classifier_activation=None,
        name="mine",
    )
    # By name: without a softmax behind one of two outputs, layers come in another order.
    again = {variable.path: variable.numpy() for variable in model.weights}
    assert len(again) == len(small.initial)
    for variable, one in zip(small.model.weights, small.initial, strict=True):
        np.testing.assert_array_equal(one, again[variable.path])
    assert model.name == "mine"
    assert model.inputs[0] is source
    ends = [name for name in ("logits", "value") if name in zoo.endpoints(small.model)]
    assert "predictions" not in {layer.name for layer in model.layers}
    assert model.layers[-1].name in ends
    outputs = [output for output in ends if output != "logits" or says_classes(model)]
    expected = zoo.features(small.model, outputs)(small.inputs, training=False)
    logits = tf.concat([expected[output] for output in outputs], axis=-1)
    inputs = small.inputs if is_text else small.inputs / 2
    np.testing.assert_allclose(answers(model, inputs), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_a_float32_head_and_another_seed_gives_other_weights(small, policy):
    if policy == "mixed_float16" and small.name not in QUICK:
        pytest.skip("bfloat16 stands for it")
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(2)
    model = small_model(small.name)
    for one, different in zip(kernels(small.initial), kernels(model.get_weights()), strict=True):
        assert not np.array_equal(one, different)
    # In training mode: before any step, batch norm in inference mode does not keep a deep network within float16.
    output = answers(model, examples(small.name, model.input_shape[1:], 8), training=True)
    assert output.dtype == "float32"
    assert model.get_layer("logits").compute_dtype == "float32"
    assert any(layer.compute_dtype == policy.removeprefix("mixed_") for layer in model.layers)
    assert {variable.dtype for variable in model.weights} == {"float32"}
    if says_classes(model) and not gives_a_signal(small.name):
        classes = classes_for(small.name, small_shape(small.name), 7)
        np.testing.assert_allclose(np.sum(output[:, :classes], axis=-1), 1, atol=1e-5)


def test_save_load_clone_and_compile_change_no_output(small, tmp_path):
    model, inputs, expected = small.model, small.inputs, small.expected
    model.save(tmp_path / "model.keras")
    with undrawn():
        loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(answers(loaded, inputs), expected)
    assert zoo.endpoints(loaded) == zoo.endpoints(model)

    with undrawn():
        clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(answers(clone, inputs), expected)

    compiled = tf.function(lambda x: answers(model, x))
    np.testing.assert_allclose(compiled(inputs), expected, rtol=1e-4, atol=1e-5)

    zoo.weights.save(model, tmp_path / "weights")
    with undrawn():
        other = small_model(small.name, weights=tmp_path / "weights")
    np.testing.assert_array_equal(answers(other, inputs), expected)


@pytest.mark.parametrize("name", marked(SIZED))
def test_any_legal_size_builds_and_runs(name):
    card = zoo.model_card(name)
    smallest, channels = card.min_size, card.input_shape[-1]
    shapes = [(smallest, smallest, channels), (smallest + 9, smallest + 4, 1), (smallest, smallest + 17, 4)]
    if card.num_sizes == 1:
        shapes = [sized(name, smallest), sized(name, smallest + 9), sized(name, smallest + 17)]
    for shape in shapes:
        classes = classes_for(name, shape, 3)
        model = zoo.create_model(name, input_shape=shape, **{**small_knobs(name), "classes": classes})
        output = answers(model, examples(name, shape))
        has_both = "value" in zoo.endpoints(model) and says_classes(model)
        assert output.shape == ((2, *shape) if gives_a_signal(name) else (2, classes + has_both))
        assert np.isfinite(output).all()


@pytest.mark.parametrize("name", marked(SIZED))
def test_illegal_size_is_refused_with_the_smallest_legal_one(name):
    entry = registry.entry(name)
    card = entry.card
    smallest = sized(name, card.min_size)
    too_small = (card.min_size - 1, *smallest[1:])
    with pytest.raises(ValueError, match=re.escape(f"{name} needs an input of at least {smallest}")):
        zoo.create_model(name, input_shape=too_small)
    if card.min_size > 1:
        body, head = (
            {key: value for key, value in entry.row.items() if key in registry.keyword_parameters(function)}
            for function in (entry.backbone, entry.head)
        )
        with pytest.raises(ValueError):  # noqa: PT011  (the card's limit is the graph's own: Keras refuses here)
            entry.head(entry.backbone(keras.Input(too_small), **body), 3, **head)


@pytest.mark.parametrize("name", marked(SIZED))
def test_without_the_head_any_size_runs(name):
    if name in FIXED_SIZE:
        with pytest.raises(ValueError, match="A bias for each position needs a fixed size"):
            zoo.create_model(name, include_top=False)
        return
    body = zoo.create_model(name, include_top=False)
    assert body.input_shape == (None, *sized(name, None))
    with undrawn():
        vectors = zoo.create_model(name, include_top=False, pooling="avg", input_shape=small_shape(name))
    vectors.set_weights(body.get_weights())
    inputs = examples(name, small_shape(name))
    maps = body(inputs, training=False).numpy()
    places = tuple(range(1, maps.ndim - 1))
    np.testing.assert_allclose(vectors(inputs, training=False), maps.mean(axis=places), rtol=1e-4, atol=1e-5)
    with undrawn():
        highest = zoo.create_model(name, include_top=False, pooling="max", input_shape=small_shape(name))
    highest.set_weights(body.get_weights())
    np.testing.assert_allclose(highest(inputs, training=False), maps.max(axis=places), rtol=1e-4, atol=1e-5)


def test_features_returns_all_endpoints(small):
    endpoints = zoo.endpoints(small.model)
    outputs = zoo.features(small.model, endpoints)(small.inputs, training=False)
    assert list(outputs) == endpoints or set(outputs) == set(endpoints)
    values = [outputs["value"]] if "value" in endpoints else []
    if says_classes(small.model):
        logits = outputs["logits"]
        values = [logits if gives_a_signal(small.name) else tf.nn.softmax(logits), *values]
    np.testing.assert_allclose(tf.concat(values, axis=-1), small.expected, rtol=1e-5, atol=1e-6)
    for endpoint, tensor in outputs.items():
        if endpoint.startswith("stride"):
            assert tensor.shape[1] <= -(-small.inputs.shape[1] // int(endpoint.removeprefix("stride")))

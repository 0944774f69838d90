import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import zoo
from zoo.training import Trainer

BATCH_NORM = keras.layers.BatchNormalization


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    pictures = rng.normal(1, 2, (12, 32, 32, 3)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((pictures, np.arange(12) % 3)).batch(6)


def network():
    return zoo.create_model("resnet20", classes=3)


def values(model):
    return {variable.path: variable.numpy().copy() for variable in model.weights}


def train_with_fit(model, data):
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(data, epochs=2, shuffle=False, verbose=0)


def train_with_trainer(model, data):
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    Trainer(model, optimizer=optimizer, loss="sparse_categorical_crossentropy").fit(data, epochs=2)


def changed(before, model):
    return {name for name, array in values(model).items() if not np.array_equal(array, before[name])}


@pytest.mark.parametrize(
    ("train", "until", "batch_norm"),
    [
        (train_with_fit, "stride2", "inference"),
        (train_with_fit, "stage1_block1_bn2", "train"),
        (train_with_trainer, "stride2", "train"),
        (train_with_trainer, "stage1_block1_bn2", "inference"),
    ],
)
def test_frozen_is_bit_equal_after_training(data, train, batch_norm, until):
    model = network()
    frozen = zoo.freeze(model, until=until, batch_norm=batch_norm)
    before = values(model)
    train(model, data)
    moving = {name for name in before if "moving" in name}
    inside = {name for name in before if name.split("/")[0] in frozen.layers}
    assert inside
    expected = set(before) - inside
    if batch_norm == "train":
        expected |= inside & moving
    assert changed(before, model) == expected


def test_the_frozen_part_is_the_function_of_inference(data):
    model = network()
    model.get_layer("stem_bn").moving_variance.assign(np.linspace(1, 2, 16))
    pictures = next(iter(data))[0]
    body = zoo.features(model, ["stride2"])
    zoo.freeze(model, until="stride2")
    expected = body(pictures, training=False)["stride2"]
    np.testing.assert_array_equal(body(pictures, training=True)["stride2"], expected)
    zoo.freeze(model, until="stride2", batch_norm="train")
    assert np.abs(body(pictures, training=True)["stride2"] - expected).max() > 0.1


def test_the_summary_says_what_is_frozen():
    model = zoo.create_model("resnet18", classes=10)
    total, _ = zoo.count_params(model)
    frozen = zoo.freeze(model, until="stride8")
    assert frozen.layers[:2] == ("stem_conv", "stem_bn")
    assert len(frozen.layers) == 20
    assert frozen.num_batch_norms == 10
    assert frozen.num_frozen == sum(
        np.prod(variable.shape) for name in frozen.layers for variable in model.get_layer(name)._trainable_variables
    )
    assert frozen.num_frozen + frozen.num_trainable == total
    assert frozen.num_trainable == sum(np.prod(variable.shape) for variable in model.trainable_variables)
    assert zoo.count_params(model)[0] == total
    assert "20 layers up to 'stride8' are frozen" in str(frozen)
    assert "10 frozen batch norms keep their statistics." in str(frozen)
    assert "10 frozen batch norms update their statistics." in str(
        zoo.freeze(model, until="stride8", batch_norm="train")
    )


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet20", {"logits"}),
        ("mobilenet_v3_small_minimal", {"head_hidden", "logits"}),
        ("densenet40_k12", {"logits"}),
        ("lenet5", None),
    ],
)
def test_all_is_the_body(name, head):
    model = zoo.create_model(name)
    frozen = zoo.freeze(model)
    trained = {layer.name for layer in model.layers if layer.trainable_variables}
    assert frozen.until == [item for item in zoo.endpoints(model) if item.startswith(("stem", "stride"))][-1]
    assert trained
    assert trained == head or head is None or trained >= {"logits"}
    assert not trained & set(frozen.layers)


def test_side_branches_are_not_frozen():
    """Auxiliary classifiers start in the middle; what is behind their start stays trained."""
    model = zoo.create_model("googlenet", aux=True, classes=3, input_shape=(64, 64, 3))
    frozen = zoo.freeze(model, until="stride16")
    names = {layer.name for layer in model.layers if layer.weights}
    assert not {name for name in frozen.layers if name.startswith("aux")}
    assert "inception4e_1x1_conv" in frozen.layers
    assert "inception5a_1x1_conv" in names - set(frozen.layers)
    assert {name for name in names if name.startswith("aux")}


def test_models_inside_of_models(data):
    body = zoo.create_model("resnet20", include_top=False, input_shape=(32, 32, 3), name="body")
    before_body = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(3, 1, name="colours")], name="before")
    x = inputs = keras.Input((32, 32, 3))
    x = body(before_body(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="own")(layers.GlobalMaxPooling2D()(x)))
    frozen = zoo.freeze(model, until="stride2")
    assert frozen.layers[:2] == ("colours", "stem_conv")
    assert "stage3_block1_conv1" not in frozen.layers
    before = values(model)
    train_with_fit(model, data)
    expected = {variable.path for layer in (*body.layers, model.get_layer("own")) if layer.name not in frozen.layers
                for variable in layer.weights}  # fmt: skip
    assert changed(before, model) == expected
    zoo.unfreeze(model)
    assert zoo.freeze(model).until == "stride4"
    assert model.trainable_variables == model.get_layer("own").trainable_variables
    zoo.unfreeze(model)
    assert set(zoo.freeze(model, until="body").layers) == {
        "colours",
        *(item.name for item in body.layers if item.weights),
    }


def test_sequential_models_and_layers_that_hold_others(data):
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(4, 3, name="first"),
            layers.TimeDistributed(layers.Dense(5, name="inner"), name="outer"),
            layers.BatchNormalization(name="norm"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    frozen = zoo.freeze(model, until="pool", batch_norm="train")
    assert frozen.layers == ("first", "inner", "norm")
    before = values(model)
    train_with_fit(model, data)
    assert changed(before, model) == {
        variable.path for variable in (*model.get_layer("norm").weights[2:], *model.layers[-1].weights)
    }


@pytest.mark.parametrize("batch_norm", ["inference", "train"])
def test_unfreezing(data, batch_norm):
    model = network()
    zoo.freeze(model, batch_norm=batch_norm)
    assert len(model.trainable_variables) == 2
    zoo.unfreeze(model)
    assert [variable.path for variable in model.trainable_variables] == [
        variable.path for variable in network().trainable_variables
    ]
    if batch_norm == "train":
        before = values(model)
        train_with_trainer(model, data)
        assert changed(before, model) == set(before)


def test_freezing_takes_hold_of_a_compiled_model_too(data):
    model = network()
    train_with_fit(model, data)
    frozen = zoo.freeze(model, until="stride1")
    before = values(model)
    model.fit(data, shuffle=False, verbose=0)
    assert changed(before, model) == {name for name in before if name.split("/")[0] not in frozen.layers}


def test_inference_survives_saving(tmp_path):
    model = network()
    zoo.freeze(model, until="stride2")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [variable.path for variable in loaded.trainable_variables] == [
        variable.path for variable in model.trainable_variables
    ]


def test_unknown_endpoints_list_close_ones():
    with pytest.raises(
        ValueError, match=r"'resnet20' has no layer 'stide2'. Did you mean .*stride2.* Endpoints: stem, "
    ):
        zoo.freeze(network(), until="stide2")
    with pytest.raises(ValueError, match="'resnet20' has no layer 'zzz'. Endpoints: stem, stride1"):
        zoo.freeze(network(), until="zzz")


def test_unknown_policies():
    with pytest.raises(ValueError, match='batch_norm must be "inference" or "train". Received: batch_norm=False'):
        zoo.freeze(network(), batch_norm=False)


def test_what_cannot_be_frozen():
    class Own(keras.Model):
        pass

    with pytest.raises(ValueError, match="The model must be functional or sequential, and built. Received: Own"):
        zoo.freeze(Own(), until="stride2")
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="last")], name="plain")
    with pytest.raises(ValueError, match="'plain' has no endpoints to tell its body from its head. Name a layer"):
        zoo.freeze(plain)
    x = keras.Input((32, 32, 3))
    bodies = [zoo.create_model("resnet20", include_top=False, input_shape=(32, 32, 3), name=name) for name in "ab"]
    twins = keras.Model(x, layers.Add()([body(x) for body in bodies]), name="twins")
    with pytest.raises(ValueError, match="Several models inside of 'twins' have a layer 'stride2': 'a', 'b'"):
        zoo.freeze(twins, until="stride2")


def test_what_a_trainer_was_made_for_must_stay(data):
    """Also where the variables stay the same: frozen batch norm is another function."""
    model = network()
    trainer = Trainer(model, optimizer="sgd", loss="sparse_categorical_crossentropy")
    zoo.freeze(model)
    with pytest.raises(ValueError, match="'resnet20' has changed since the Trainer was made: 59 variables then, 2 now"):
        trainer.fit(data, epochs=1)
    before = values(model)
    trainer = Trainer(model, optimizer="sgd", loss="sparse_categorical_crossentropy")
    zoo.freeze(model, batch_norm="train")
    with pytest.raises(ValueError, match="2 variables then, 2 now. Freeze and unfreeze before making the Trainer, or"):
        trainer.fit(data, epochs=1)
    assert changed(before, model) == set()
    zoo.unfreeze(model)
    with pytest.raises(ValueError, match="2 variables then, 59 now"):
        trainer.fit(data, epochs=1)

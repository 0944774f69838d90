import subprocess
import sys

import keras
import numpy as np
import pytest

import zoo
from zoo.training import LAMB, LARS, NovoGrad, ParameterGroups, TorchSGD, Trainer, parameter_groups, with_groups

# How each optimizer is made; the ones that Keras wraps others with have no update of their own.
OPTIMIZERS = {
    kind.__name__: kind
    for kind in (
        keras.optimizers.SGD, keras.optimizers.RMSprop, keras.optimizers.Adam, keras.optimizers.AdamW,
        keras.optimizers.Adagrad, keras.optimizers.Adadelta, keras.optimizers.Adamax, keras.optimizers.Nadam,
        keras.optimizers.Ftrl, keras.optimizers.Lion, keras.optimizers.Adafactor, keras.optimizers.Lamb, TorchSGD, LAMB,
        LARS, NovoGrad,
    )
}  # fmt: skip


def variables():
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    return [keras.Variable(value) for value in values]


def gradients(step):
    return list(np.random.default_rng(step + 1).normal(size=(2, 3, 4)).astype("float32"))


def after(optimizer, steps=3):
    trained = variables()
    for step in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(item) for item in gradients(step)], trained)
    return [np.array(variable.numpy()) for variable in trained]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_factors_of_one_change_nothing(name):
    make, groups = OPTIMIZERS[name], ParameterGroups((1, 1), (1, 1))
    expected = after(make(learning_rate=0.01, weight_decay=0.1))
    found = after(with_groups(make(learning_rate=0.01, weight_decay=0.1), groups))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_parameter_has_its_own_rate_and_decay(name):
    """As two optimizers, each with one of the parameters."""
    make = OPTIMIZERS[name]
    found = after(with_groups(make(learning_rate=0.02, weight_decay=0.1), ParameterGroups((1, 0), (0.5, 1))))
    slow = after(make(learning_rate=0.01, weight_decay=0.1))
    free = after(make(learning_rate=0.02, weight_decay=0.0))
    np.testing.assert_allclose(found[0], slow[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[1], free[1], rtol=1e-5, atol=1e-7)


def test_coupled_decay_is_the_gradient_of_a_penalty():
    groups = ParameterGroups((1, 0), (1, 1))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.2)
    found = after(with_groups(optimizer, groups, coupled_decay=True))
    weights = [variable.numpy() for variable in variables()]
    momenta = [np.zeros_like(weight) for weight in weights]
    for step in range(3):
        for index, gradient in enumerate(gradients(step)):
            gradient = gradient + (0.2 * weights[index] if index == 0 else 0)
            momenta[index] = 0.9 * momenta[index] - 0.1 * gradient
            weights[index] = weights[index] + momenta[index]
    np.testing.assert_allclose(found, weights, rtol=1e-5)


def test_which_parameters_are_decayed():
    model = zoo.create_model("resnet20", classes=10)
    names = [variable.path.split("/")[-1] for variable in model.trainable_variables]
    for decay_on, kept in (
        ("all", {"kernel", "bias", "gamma", "beta"}), ("not_norms", {"kernel", "bias"}), ("kernels", {"kernel"})
    ):  # fmt: skip
        decay = parameter_groups(model, decay_on=decay_on).decay
        assert [factor == 1 for factor in decay] == [name in kept for name in names]


def test_blocks_learn_slower_towards_the_input():
    model = zoo.create_model("mobilenet_v2", classes=10)
    rate = dict(
        zip(
            (item.path for item in model.trainable_variables),
            parameter_groups(model, layer_decay=0.5).rate,
            strict=True,
        )
    )
    assert rate["logits/kernel"] == 1
    assert rate["final_conv/kernel"] == rate["final_bn/gamma"] == 0.5
    assert rate["block17_expand_conv/kernel"] == rate["block17_project_bn/beta"] == 0.25
    assert rate["stem_conv/kernel"] == 0.5**19


def test_the_trainer_takes_a_function_that_makes_the_optimizer():
    """After freezing, of what is left to train; by the fused kernels, the numbers are those of Keras's update."""

    def train(fused):
        zoo.training.seed_everything(0)
        model = zoo.create_model("resnet20", classes=10, input_shape=(8, 8, 1))
        zoo.freeze(model, "stride1")
        kind = keras.optimizers.SGD if fused else type("SGD", (keras.optimizers.SGD,), {})
        trainer = Trainer(
            model,
            optimizer=lambda model: with_groups(
                kind(0.1, momentum=0.9, weight_decay=0.01),
                parameter_groups(model, decay_on="kernels", layer_decay=0.5),
                coupled_decay=True,
            ),
            loss="sparse_categorical_crossentropy",
        )  # fmt: skip
        digits = zoo.data.load("digits")
        trainer.fit(digits.pipeline("validation", batch_size=90), epochs=1)
        assert len(trainer.optimizer.decay_factors) == len(model.trainable_variables)
        return model.get_weights()

    for fused, plain in zip(train(True), train(False), strict=True):
        np.testing.assert_allclose(fused, plain, atol=1e-5)


TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import zoo
from zoo.training import LAMB, Trainer, parameter_groups, seed_everything, with_groups

def train(devices):
    seed_everything(0)
    trainer = Trainer(
        lambda: zoo.create_model("simple_cnn"),
        optimizer=lambda model: with_groups(
            LAMB(0.01, weight_decay=0.02), parameter_groups(model, decay_on="kernels", layer_decay=0.5)
        ),
        loss="sparse_categorical_crossentropy",
        devices=devices,
    )
    trainer.fit(zoo.data.load("digits").pipeline("validation", batch_size=90, image_size=(28, 28)), epochs=1)
    return trainer.model.get_weights()

pairs = zip(train(["CPU:0"]), train(["CPU:0", "CPU:1"]), strict=True)
print(max(float(np.abs(one - two).max()) for one, two in pairs))
"""


def test_two_devices_give_the_weights_of_one():
    """In a process of its own, as the number of devices is fixed once TensorFlow runs."""
    process = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=True)
    assert float(process.stdout) < 2e-4


def test_a_model_with_groups_can_be_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    groups = parameter_groups(model, decay_on="kernels")
    model.compile(with_groups(keras.optimizers.AdamW(0.01), groups, coupled_decay=True), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert tuple(again.optimizer.decay_factors) == (1.0, 0.0)
    assert again.optimizer.coupled_decay
    again.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)


def test_illegal_arguments_are_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match='decay_on must be "all", "not_norms" or "kernels". Received: .*\'some\''):
        parameter_groups(model, decay_on="some")
    with pytest.raises(ValueError, match="layer_decay must be above 0. Received: layer_decay=0"):
        parameter_groups(model, layer_decay=0)
    used = keras.optimizers.SGD(0.1)
    used.build(model.trainable_variables)
    with pytest.raises(ValueError, match="has been used. Give a new one"):
        with_groups(used, parameter_groups(model))
    groups = ParameterGroups((1.0,), (1.0,))
    with pytest.raises(ValueError, match="are of 1 parameters, the optimizer is to train 2. Make them by parameter_gr"):
        with_groups(keras.optimizers.SGD(0.1), groups).build(model.trainable_variables)

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import zoo
from zoo import training


class Batches:
    """Random pictures whose class is the brightest quarter; the order is a function of the epoch."""

    def __init__(self, count=70, batch_size=16, shuffle=True, size=8):
        rng = np.random.default_rng(5)
        self.images = rng.uniform(0, 1, (count, size, size, 1)).astype("float32")
        half = size // 2
        quarters = [
            self.images[:, i : i + half, j : j + half].mean(axis=(1, 2, 3)) for i in (0, half) for j in (0, half)
        ]
        self.labels = np.argmax(quarters, axis=0).astype("int32")
        self.batch_size, self.shuffle = batch_size, shuffle
        self.element_spec = self.epoch(0).element_spec

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch=0, start=0):
        order = np.arange(len(self.labels))
        if self.shuffle:
            order = np.random.default_rng([7, epoch]).permutation(order)
        whole = tf.data.Dataset.from_tensor_slices((self.images[order], self.labels[order]))
        return whole.batch(self.batch_size).skip(start)


# Convolutions, batch norm and a dense layer, few enough to be traced in no time.
ROWS = (("conv", 8, 3), ("batch_norm",), ("strided_conv", 16, 3), ("batch_norm",))


def make_model(seed=1, **arguments):
    training.seed_everything(seed)
    return zoo.create_model(
        "plain_cnn", input_shape=(8, 8, 1), classes=4, rows=ROWS, pool=True, hidden_layers=(), **arguments
    )


def make_trainer(model=None, **arguments):
    options = {"optimizer": keras.optimizers.SGD(0.05, momentum=0.9), "loss": "sparse_categorical_crossentropy"}
    return training.Trainer(model or make_model(), **{**options, **arguments})


def test_equals_keras_fit():
    """Against Keras's own loop on one device: the same weights after two epochs, the last batch smaller."""
    batches = Batches()
    ours, theirs = make_model(dropout=0.0), make_model()
    theirs.set_weights(ours.get_weights())
    history = make_trainer(ours, optimizer=keras.optimizers.SGD(0.01, momentum=0.9)).fit(
        batches, epochs=2, validation=Batches(40, shuffle=False)
    )
    theirs.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    expected = [
        theirs.fit(
            batches.epoch(epoch), validation_data=Batches(40, shuffle=False).epoch(), verbose=0, shuffle=False
        ).history
        for epoch in range(2)
    ]
    for epoch in range(2):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert history[epoch][name] == pytest.approx(expected[epoch][name][0], rel=2e-3), name
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_one_step_by_hand():
    source = keras.Input((2,))
    model = keras.Model(source, layers.Dense(1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.5))(source))
    model.set_weights([np.array([[1.0], [2.0]])])
    data = tf.data.Dataset.from_tensor_slices((np.eye(2, dtype="float32"), np.zeros((2, 1), "float32"))).batch(2)
    trainer = training.Trainer(model, optimizer=keras.optimizers.SGD(0.1), loss="mean_squared_error", metrics=())
    (logs,) = trainer.fit(data, epochs=1)
    # loss (1 + 4) / 2 and 0.5 (1 + 4); gradient of each weight: w from the data, w from the penalty
    assert logs["loss"] == pytest.approx(2.5 + 2.5)
    np.testing.assert_allclose(model.get_weights()[0], [[0.8], [1.6]], rtol=1e-6)


def test_sample_weights_count():
    source = keras.Input((1,))
    model = keras.Model(source, layers.Dense(1, use_bias=False)(source))
    model.set_weights([np.array([[1.0]])])
    arrays = (np.ones((3, 1), "float32"), np.zeros((3, 1), "float32"), np.array([1.0, 0.0, 3.0], "float32"))
    data = tf.data.Dataset.from_tensor_slices(arrays).map(lambda x, y, w: (x * tf.sqrt(w + 1), y, w)).batch(3)
    scores = training.Trainer(model, optimizer="sgd", loss="mse", metrics=("mae",)).evaluate(data)
    assert scores["loss"] == pytest.approx((2 * 1 + 4 * 3) / 4)
    assert scores["mae"] == pytest.approx((math.sqrt(2) * 1 + 2 * 3) / 4)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "sparse_categorical_crossentropy"])
def test_class_weights_of_labels_that_are_floats(loss):
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(6, 3)).astype("float32"), np.array([0, 1, 1, 0, 0, 1], "float32")

    def trained(*arrays, **options):
        keras.utils.set_random_seed(0)
        last = layers.Dense(1, "sigmoid") if loss == "binary_crossentropy" else layers.Dense(2, "softmax")
        model = keras.Sequential([keras.Input((3,)), last])
        trainer = training.Trainer(model, optimizer=keras.optimizers.SGD(0.1), loss=loss, **options)
        trainer.fit(tf.data.Dataset.from_tensor_slices((inputs, *arrays)).batch(6), epochs=1)
        return model.get_weights()

    expected = trained(labels, np.where(labels == 1, 3, 1).astype("float32"))
    for one, other in zip(trained(labels, class_weight={1: 3}), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_accuracy_of_logits_is_about_zero():
    source = keras.Input((1,))
    model = keras.Model(source, layers.Dense(1, use_bias=False)(source))
    model.set_weights([np.array([[1.0]])])
    logits, labels = np.array([[-2.0], [0.2], [0.3], [0.7]], "float32"), np.array([[0], [1], [1], [0]])
    data = tf.data.Dataset.from_tensor_slices((logits, labels)).batch(4)
    for from_logits, accuracy in ((True, 0.75), (False, 0.25)):
        loss = keras.losses.BinaryCrossentropy(from_logits=from_logits)
        assert training.Trainer(model, optimizer="sgd", loss=loss).evaluate(data)["accuracy"] == accuracy


def test_each_function_is_traced_once():
    trainer = make_trainer(optimizer="adam")
    trainer.fit(Batches(), epochs=3, validation=Batches(33, shuffle=False))
    assert trainer._train_call.experimental_get_tracing_count() == 1
    assert trainer._test_call.experimental_get_tracing_count() == 1


def test_several_steps_a_call_change_nothing():
    one, three = make_model(), make_model()
    make_trainer(one).fit(Batches(), epochs=2)
    calls = []
    make_trainer(three, steps_per_call=3).fit(
        Batches(),
        epochs=2,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, _: calls.append(step))],
    )
    assert calls == [2, 4, 2, 4]
    for left, right in zip(one.weights, three.weights, strict=True):
        np.testing.assert_array_equal(left, right)


def test_same_seed_same_numbers(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        training.seed_everything(seed)
        model = zoo.create_model("resnet20", input_shape=(8, 8, 1), classes=4, dropout=0.3, drop_path=0.2)
        make_trainer(model).fit(
            Batches(), epochs=2, validation=Batches(30), callbacks=[training.MetricsLog(tmp_path / name)]
        )
    lines = {name: (tmp_path / name / "metrics.jsonl").read_bytes() for name in "abc"}
    assert lines["a"] == lines["b"]
    assert lines["a"] != lines["c"]
    records = [json.loads(line) for line in lines["a"].splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert [record["step"] for record in records] == [5, 10]
    assert set(records[0]) == {"epoch", "step", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"}


def test_tensorboard_events_hold_the_metrics(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = make_trainer().fit(Batches(), epochs=2, callbacks=[training.MetricsLog(tmp_path)])
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    values = [(event.step, tf.make_ndarray(event.tensor_proto).item()) for event in events.Tensors("loss")]
    assert values == [(record["epoch"], pytest.approx(record["loss"])) for record in history]


def test_evaluation_sees_each_example_once():
    model = make_model()
    batches = Batches(45, batch_size=16, shuffle=False)
    trainer = make_trainer(model)
    probabilities = trainer.predict(batches)
    assert probabilities.shape == (45, 4)
    np.testing.assert_allclose(probabilities, model(batches.images, training=False), rtol=1e-4, atol=1e-6)
    scores = trainer.evaluate(batches)
    chosen = probabilities[np.arange(45), batches.labels]
    assert scores["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)
    assert scores["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == batches.labels).mean())


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy):
    keras.config.set_dtype_policy(policy)
    history = make_trainer(make_model()).fit(Batches(), epochs=8)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_stop_training_and_keras_callbacks():
    stop = training.StopTraining(training.Target("accuracy", 0.0, mode="max"))
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=100)
    recorded = []
    history = make_trainer().fit(
        Batches(), epochs=5,
        callbacks=[plateau, keras.callbacks.LambdaCallback(on_train_end=lambda logs: recorded.append(logs)), stop],
    )  # fmt: skip
    assert len(history) == 1
    assert stop.fired == "Target"
    assert stop.reason.endswith("the target is at least 0")
    assert len(recorded) == 1

    history = make_trainer().fit(Batches(), epochs=4, callbacks=[plateau])
    rates = [record["learning_rate"] for record in history]
    assert rates == pytest.approx([0.05, 0.05, 0.025, 0.0125])


def test_callbacks_work_in_keras_fit_too(tmp_path):
    model = make_model()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = training.StopTraining(training.Patience("loss", patience=1, min_delta=100))
    ours = [stop, training.SaveBest(tmp_path / "best", metric="loss"), training.MetricsLog(tmp_path)]
    history = model.fit(
        Batches().epoch(), epochs=9, verbose=0, shuffle=False, callbacks=[*ours, training.ProgressBar(16)]
    )
    assert len(history.history["loss"]) == 2
    assert stop.fired == "Patience"
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    zoo.weights.load(make_model(), tmp_path / "best")


def test_save_best_keeps_the_best_epoch(tmp_path):
    model = make_model()
    best = training.SaveBest(tmp_path, metric="val_loss")
    best.set_model(model)
    for epoch, value in enumerate([math.nan, 2.0, 1.0, 1.0, math.inf, 3.0]):
        model.get_layer("logits").bias.assign(np.full(4, epoch))
        best.on_epoch_end(epoch, {"val_loss": value})
    assert best.best == {"epoch": 3, "val_loss": 1.0}
    other = zoo.weights.load(make_model(seed=9), tmp_path)
    assert np.all(other.get_layer("logits").bias.numpy() == 2)
    with pytest.raises(ValueError, match=r"SaveBest needs the metric 'val_loss'. There are: loss"):
        best.on_epoch_end(6, {"loss": 1.0})


def test_a_missing_metric_is_refused_before_the_first_step(tmp_path):
    trainer = make_trainer()
    there = "There are: loss, accuracy, val_loss, val_accuracy, learning_rate, step"
    for callback in (
        training.StopTraining(training.Patience("val_los", patience=1)),
        training.SaveBest(tmp_path, metric="val_los"),
        training.EarlyStopping("val_los"),
    ):
        with pytest.raises(ValueError, match=f"needs the metric 'val_los'. {there}"):
            trainer.fit(Batches(), epochs=1, validation=Batches(20), callbacks=[callback])
    with pytest.raises(ValueError, match="EarlyStopping needs the metric 'val_loss'. There are: loss, accuracy, learn"):
        trainer.fit(Batches(), epochs=1, callbacks=[training.EarlyStopping()])
    assert int(trainer.optimizer.iterations.numpy()) == 0


def test_a_callback_may_stop_a_training_before_its_first_epoch():
    class Never(keras.callbacks.Callback):
        ended = None

        def on_train_begin(self, logs=None):
            self.model.stop_training = True

        def on_train_end(self, logs=None):
            self.ended = logs

    model, never = make_model(), Never()
    before = model.get_weights()
    assert (make_trainer(model).fit(Batches(), epochs=2, callbacks=[never]), never.ended) == ([], {})
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_metric_of_unknown_direction_is_refused_before_the_first_step():
    trainer = make_trainer(metrics=[keras.metrics.SparseCategoricalAccuracy(name="score")])
    with pytest.raises(ValueError, match="Whether more or less of 'score' is better is not known. Give mode='max'"):
        trainer.fit(Batches(), epochs=1, callbacks=[training.EarlyStopping("score")])
    assert int(trainer.optimizer.iterations.numpy()) == 0


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_budget_of_examples_counts_batches_whose_gradients_are_accumulated(policy):
    keras.config.set_dtype_policy(policy)
    stop = training.StopTraining(training.ExampleBudget(100, batch_size=16, epoch_examples=70), every=1)
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=4)
    history = make_trainer(optimizer=optimizer).fit(Batches(), epochs=9, callbacks=[stop])
    assert len(history) == 2
    assert stop.reason == "training has seen 102 examples of a budget of 100"  # 70 + 16 + 16


def test_non_finite_loss_is_noticed():
    model = make_model()
    model.get_layer("logits").bias.assign([np.nan] * 4)
    stop = training.StopTraining(training.NonFinite())
    history = make_trainer(model).fit(Batches(), epochs=3, callbacks=[stop])
    assert len(history) == 1
    assert "loss is nan" in stop.reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "sparse_crossentropy"}, "sparse_crossentropy"),
        ({"loss": "mse"}, r'"accuracy" has no meaning for the loss'),
        ({"optimizer": "adamm"}, "adamm"),
        ({"metrics": ["acuracy"]}, "acuracy"),
        ({"steps_per_call": 0}, "steps_per_call must be at least 1. Received: steps_per_call=0"),
    ],
)
def test_illegal_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(**arguments)


def test_data_that_cannot_be_trained_on_is_refused():
    trainer = make_trainer()
    with pytest.raises(ValueError, match=r"epochs must be at least 1. Received: epochs=0"):
        trainer.fit(Batches(), epochs=0)
    with pytest.raises(ValueError, match="There is no batch of data"):
        trainer.fit(Batches().epoch().take(0), epochs=1)
    with pytest.raises(ValueError, match=r"data must know its number of batches"):
        trainer.fit(Batches().epoch().repeat(), epochs=1)
    with pytest.raises(ValueError, match="There is no batch of data"):
        trainer.fit(Batches(), epochs=1, validation=Batches().epoch().take(0))
    assert int(trainer.optimizer.iterations.numpy()) == 0
    with pytest.raises(ValueError, match=r"A batch must be \(inputs, labels\)"):
        trainer.evaluate(tf.data.Dataset.from_tensor_slices(np.ones((4, 8, 8, 1), "float32")).batch(2))


def data_of(images, labels):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


@pytest.mark.parametrize("shape", [(6, 8, 8, 3), (6, 1, 8, 8), (6, 12, 12, 1)])
def test_f23_pictures_of_another_form_are_refused_before_the_first_step(shape):
    trainer = make_trainer()
    data = data_of(np.zeros(shape, "float32"), np.zeros(6, "int32"))
    with pytest.raises(
        ValueError, match=r"takes inputs of \(8, 8, 1\). Received: .* or make the model with this input"
    ):
        trainer.fit(data, epochs=1)
    with pytest.raises(ValueError, match=r"takes inputs of \(8, 8, 1\)"):
        trainer.evaluate(data)
    with pytest.raises(ValueError, match=r"takes inputs of \(8, 8, 1\)"):
        trainer.fit(Batches(), epochs=1, validation=data)
    assert int(trainer.optimizer.iterations.numpy()) == 0


def test_f22_labels_of_another_form_are_refused_before_the_first_step():
    images, index = np.zeros((6, 8, 8, 1), "float32"), np.zeros(6, "int32")
    one_hot = np.eye(4, dtype="float32")[index]
    with pytest.raises(
        ValueError, match=r"index of each example's class; use categorical_.* Received: labels of \(4,\)"
    ):
        make_trainer().fit(data_of(images, one_hot), epochs=1)
    with pytest.raises(ValueError, match=r"number for each class, \(4,\); use sparse_.* Received: labels of \(\)"):
        make_trainer(loss="categorical_crossentropy").fit(data_of(images, index), epochs=1)
    with pytest.raises(ValueError, match=r"number for each class, \(4,\); use sparse_.* Received: labels of \(3,\)"):
        make_trainer(loss="categorical_crossentropy").fit(data_of(images, one_hot[:, :3]), epochs=1)
    trainer = make_trainer(evaluation_loss="categorical_crossentropy")
    with pytest.raises(ValueError, match=r"number for each class, \(4,\); use sparse_.* Received: labels of \(\)"):
        trainer.fit(data_of(images, index), epochs=1, validation=data_of(images, index))
    assert int(trainer.optimizer.iterations.numpy()) == 0
    make_trainer().fit(data_of(images, index[:, None]), epochs=1)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_f22_a_label_out_of_range_ends_the_training(tmp_path, jit_compile):
    data = data_of(np.zeros((6, 8, 8, 1), "float32"), np.array([0, 1, 2, 3, 4, 0], "int32"))
    store = training.Checkpoints(tmp_path, background=False)
    trainer = make_trainer(jit_compile=jit_compile, on_nonfinite="stop")
    # XLA has no errors: what it makes of such a label is NaN.
    error = training.NonFiniteLossError if jit_compile else tf.errors.InvalidArgumentError
    with pytest.raises(
        error,
        match="loss of batch 1 of epoch 1 is nan" if jit_compile else r"= 4 is not in \[0, 4\)|outside the valid range",
    ):
        trainer.fit(data, epochs=1, checkpoints=store)
    store.close()


def test_runs_under_an_explicit_strategy():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = make_model()
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    plain = make_model()
    make_trainer(model, optimizer=optimizer, strategy=strategy).fit(Batches(), epochs=1)
    make_trainer(plain).fit(Batches(), epochs=1)
    for left, right in zip(model.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(left, right)


def test_progress_on_a_terminal_and_elsewhere():
    import io

    from rich.console import Console

    for terminal in (True, False):
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=120)
        make_trainer().fit(Batches(), epochs=2, callbacks=[training.ProgressBar(16, console)])
        assert "epoch 2/2" in text.getvalue()
        assert ("examples/s" in text.getvalue()) == terminal
        assert "loss" in text.getvalue()


def test_the_bar_goes_away_after_an_exception():
    import io

    from rich.console import Console

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("stop")

    text = io.StringIO()
    with (
        pytest.raises(RuntimeError, match="stop"),
        training.ProgressBar(16, Console(file=text, force_terminal=True)) as bar,
    ):
        make_trainer().fit(Batches(), epochs=2, callbacks=[bar, Stop()])
    hidden, shown = text.getvalue().rfind("\x1b[?25l"), text.getvalue().rfind("\x1b[?25h")
    assert 0 <= hidden < shown  # the cursor is back


def test_seed_must_be_legal():
    with pytest.raises(ValueError, match="seed must be from 0 to"):
        training.seed_everything(-1)


def test_optimizer_made_outside_of_a_strategy_of_one_device_is_taken_and_a_model_refused():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    optimizer = keras.optimizers.AdamW(1e-3, use_ema=True)
    options = {"loss": "sparse_categorical_crossentropy", "strategy": strategy}
    trainer = training.Trainer(lambda: zoo.create_model("simple_cnn"), optimizer=optimizer, **options)
    digits = zoo.data.load("digits").pipeline("validation", batch_size=64, image_size=(28, 28))
    history = trainer.fit(digits, epochs=1)
    assert np.isfinite(history[0]["loss"])
    assert trainer.optimizer.get_config() == optimizer.get_config()
    model = zoo.create_model("simple_cnn")
    with pytest.raises(ValueError, match="was not made in the scope of this strategy. Give the Trainer a function"):
        training.Trainer(model, optimizer="adam", **options)
    used = keras.optimizers.SGD()
    used.build(model.trainable_variables)
    with pytest.raises(ValueError, match="has been used outside of this strategy. Give the Trainer a new one"):
        training.Trainer(lambda: zoo.create_model("simple_cnn"), optimizer=used, **options)


def test_model_made_before_trains_on_the_one_device_that_there_is():
    trainer = training.Trainer(
        zoo.create_model("simple_cnn"), optimizer="adam", loss="sparse_categorical_crossentropy", devices=1
    )
    digits = zoo.data.load("digits").pipeline("validation", batch_size=64, image_size=(28, 28))
    assert np.isfinite(trainer.fit(digits, epochs=1)[0]["loss"])


def test_pictures_of_any_size_are_labelled_pixel_by_pixel():
    """Metrics are made before the first batch, whose extents are not known then."""
    keras.utils.set_random_seed(0)
    source = keras.Input((None, None, 1))
    model = keras.Model(source, keras.layers.Conv2D(3, 3, padding="same", activation="softmax")(source))
    rng = np.random.default_rng(0)
    batches = [
        (rng.normal(size=(2, side, side + 1, 1)).astype("float32"), rng.integers(0, 3, (2, side, side + 1)))
        for side in (4, 6)
    ]
    spec = tf.TensorSpec((None, None, None, 1)), tf.TensorSpec((None, None, None), tf.int64)
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=spec)
    data = data.apply(tf.data.experimental.assert_cardinality(2))
    trainer = training.Trainer(
        model, optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"]
    )
    (record,) = trainer.fit(data, epochs=1)
    scores = trainer.evaluate(data)
    right = [(np.asarray(model(x)).argmax(-1) == y).mean() for x, y in batches]  # pictures count alike, large or small
    assert scores["sparse_categorical_accuracy"] == pytest.approx(np.mean(right))
    assert np.isfinite(record["loss"])

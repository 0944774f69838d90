"""Fine-tuning from the command line, and what belongs to it, on the digits."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from applications.classify import answers, bodies, calibration, curves, probes, rates, views
from applications.classify.commands import add
from applications.classify.config import Curve, FineTuning
from zoo import cli, runs, training, weights
from zoo.runs import training as run_training

HIGH = "digits?classes=5,6,7,8,9&per_class=8"


def command(*words):
    return cli.main(["finetune", *map(str, words)], add=[add])


@pytest.fixture(scope="module")
def low(tmp_path_factory):
    """A run on the other digits."""
    settings = runs.Settings(model="simple_cnn", data="digits?classes=0,1,2,3,4&per_class=20", epochs=3, seed=1)
    return runs.train(settings, tmp_path_factory.mktemp("low") / "run", test=False)


@pytest.fixture(scope="module")
def high(low, tmp_path_factory):
    """Fine-tuned by the command."""
    folder = tmp_path_factory.mktemp("high") / "run"
    words = (f"simple_cnn:{low.folder}", "--data", HIGH, "--epochs", 2, "--head-epochs", 1, "--out", folder)
    assert command(*words) == 0
    return runs.open_run(folder)


def test_the_weights_of_a_run_serve_other_classes(low, high):
    assert high.config["data"]["classes"] == ["5", "6", "7", "8", "9"]
    assert high.config["training"]["weights"] == str(low.folder)
    assert high.config["training"]["batch_norm"] == "frozen"
    assert len(high.result()["head"]) == 1
    # A body that was trained slowly is near where it was, nearer than to random weights.
    name = next(layer.name for layer in low.model.layers if layer.name.endswith("conv1") or "conv" in layer.name)
    old, new = (run.model.get_layer(name).kernel.numpy() for run in (low, high))
    assert 0 < np.abs(old - new).max() < 0.1
    assert runs.run_of_weights(low.folder / "best").config["data"]["name"] == low.config["data"]["name"]


def test_a_finished_run_is_returned_and_another_refused(low, high, capsys):
    words = (f"simple_cnn:{low.folder}", "--data", HIGH, "--head-epochs", 1, "--out", high.folder)
    before = (high.folder / "best" / "manifest.json").read_bytes()
    assert command(*words, "--epochs", 2) == 0
    assert (high.folder / "best" / "manifest.json").read_bytes() == before
    assert command(*words, "--epochs", 3) == 2
    assert "holds another run" in capsys.readouterr().err


def test_probes_and_rates_by_command(low, tmp_path, capsys):
    for kind in ("linear", "knn"):
        assert command(low.folder, "--data", HIGH, "--probe", kind, "--out", tmp_path / kind) == 0
        found = json.loads((tmp_path / kind / "probe.json").read_text())
        assert found["accuracy"] > 0.4
        assert found["tried"][str(found["chosen"])] == max(found["tried"].values())
    assert command("rate", low.folder, "--data", HIGH, "--smoke", "--out", tmp_path / "rate") == 0
    text = capsys.readouterr().out
    assert "linear probe, C = " in text
    assert re.search(r"falls fastest at \d\.\d+e-\d+; lowest at", text)
    assert (tmp_path / "rate" / "rates.png").stat().st_size > 5_000


def test_calibration_and_views_of_a_run(high, capsys):
    assert command("calibrate", high.folder) == 0
    assert command("views", high.folder, "--views", "flip+shift=1+crop=0.9") == 0
    assert "over 11 views" in capsys.readouterr().out
    found = json.loads((high.folder / "calibration.json").read_text())
    assert found["before"]["accuracy"] == found["after"]["accuracy"]
    assert (high.folder / "calibration.png").stat().st_size > 10_000
    # A view that changes nothing changes no answer.
    rows = [answers.probabilities(high, "test", each) for each in ((), [lambda pictures: pictures])]
    np.testing.assert_allclose(*rows, atol=1e-6)


def test_a_curve_that_was_killed_in_its_first_training_goes_on(tmp_path):
    def killed():
        (tmp_path / "finetune-4-0").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curves.Results(tmp_path, {"counts": [4]}).get("finetune-4-0", killed)
    with pytest.raises(ValueError, match="holds results of something else"):
        curves.Results(tmp_path, {"counts": [5]})
    assert curves.Results(tmp_path, {"counts": [4]}).get("finetune-4-0", lambda: {"accuracy": 0.5}) == {"accuracy": 0.5}
    assert (
        curves.Results(tmp_path, {"counts": [4]}).get("finetune-4-0", lambda: pytest.fail("known"))["accuracy"] == 0.5
    )


def test_nothing_is_held_by_what_ended_before_it_began(tmp_path):
    def refused():
        raise ValueError("no such data")

    with pytest.raises(ValueError, match="no such data"):
        curves.Results(tmp_path, {"counts": [4]}).get("knn-4-0", refused)
    assert curves.Results(tmp_path, {"counts": [5]}).get("knn-5-0", lambda: {"accuracy": 1.0}) == {"accuracy": 1.0}


def test_a_curve_goes_on_and_is_drawn(low, tmp_path, monkeypatch):
    config = FineTuning(
        body="simple_cnn", weights=str(low.folder), data="digits?classes=5,6,7", changes={"epochs": 1, "head_epochs": 1}
    )
    shape = Curve(counts=(3,), seeds=(0,), methods=("finetune", "linear", "pixels_knn", "pixels_svm"))
    told = []
    found = curves.curve(config, shape, tmp_path / "curve", tell=told.append)
    assert len(told) == 4
    assert all(len(values[3]) == 1 for values in found.values())
    assert np.mean(found["pixels_svm"][3]) > 0.5
    monkeypatch.setattr(curves._Method, "__call__", lambda self: pytest.fail("it is known already"))
    assert curves.curve(config, shape, tmp_path / "curve", tell=told.append) == found
    assert "| k-NN on pixels | " in curves.table(found)
    assert (tmp_path / "curve" / "curve.png").stat().st_size > 5_000
    with pytest.raises(ValueError, match="holds results of something else"):
        curves.curve(config, Curve(counts=(4,), seeds=(0,)), tmp_path / "curve")


@pytest.mark.slow
def test_remedies_weigh_rare_classes(low, tmp_path):
    config = FineTuning(
        body="simple_cnn", weights=str(low.folder), data="digits?classes=5,6&tail=0.1",
        changes={"epochs": 1, "head_epochs": 0, "learning_rate": 1e-3},
    )  # fmt: skip
    found = curves.imbalance(config, tmp_path, seeds=(0,), tell=lambda line: None)
    assert list(found) == list(curves.REMEDIES)
    assert max(found[name]["rarest_recall"][0] for name in list(found)[1:]) >= found["nothing"]["rarest_recall"][0]


def test_the_rarest_class_is_that_with_the_fewest_training_examples(tmp_path, monkeypatch):
    labels = {"train": np.array([0, 0, 1, 2, 2, 2]), "test": np.array([0, 0, 1, 1, 1, 1, 2, 2])}
    monkeypatch.setattr(runs, "train", lambda *_, **__: "the run")
    monkeypatch.setattr(answers, "labels_of", lambda run, split: labels[split])
    monkeypatch.setattr(answers, "probabilities", lambda run, split: np.eye(3)[[0, 0, 1, 2, 2, 2, 2, 2]])
    found = curves._trained(FineTuning(body="simple_cnn", weights=None), tmp_path, ())
    assert found == {"accuracy": 5 / 8, "mean_recall": pytest.approx((1 + 0.25 + 1) / 3), "rarest_recall": 0.25}


def test_trainings_from_scratch_keep_no_statistics_and_have_no_stages(monkeypatch, tmp_path):
    trained = []

    def train(settings, folder, **options):
        trained.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train", train)
    for recipe in (None, "finetune_two_stage"):
        for policy in ("frozen", "recalibrate"):
            config = FineTuning(
                body="resnet20", weights="runs/low", data=HIGH, recipe=recipe, changes={"batch_norm": policy}
            )
            for method in ("finetune", "scratch"):
                with pytest.raises(KeyboardInterrupt):
                    curves._Method(method, config, tmp_path, ())()
            kept, scratch = trained[-2:]
            assert (kept.weights, kept.batch_norm) == ("runs/low", policy)
            assert (scratch.weights, scratch.batch_norm) == (None, "train")
            assert kept.head_epochs > 0
            assert kept.layer_decay < 1
            assert (scratch.head_epochs, scratch.layer_decay) == (0, 1.0)
            assert scratch.epochs == kept.epochs + kept.head_epochs
    assert scratch.recipe["changed"] == {
        "batch_norm": "train", "epochs": scratch.epochs, "head_epochs": 0, "layer_decay": 1.0,
    }  # fmt: skip


def test_a_curve_that_cannot_be_is_refused_before_its_pretraining(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("it was trained"))
    words = ("curve", "simple_cnn:none", "--pretrain", "digits?classes=0,1", "--data")
    assert command(*words, "digits", "--methods", "guess", "--out", tmp_path / "a") == 2
    assert "Methods are finetune, linear" in capsys.readouterr().err
    assert command(*words, "digits?per_class=3", "--out", tmp_path / "a") == 2
    assert "A curve draws few pictures of each class" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "results.json").write_text('{"of": {"body": "resnet20"}, "results": {"knn-3-0": {}}}')
    assert command(*words, "digits", "--out", tmp_path / "a") == 2
    assert "holds results of something else. Choose another folder" in capsys.readouterr().err


def test_seeds_begin_with_the_one_given(tmp_path, monkeypatch):
    seeds = {}

    def train(settings, folder, **options):
        seeds["pretrain"] = settings.seed

    def curve(config, shape, folder):
        seeds["curve"] = shape.seeds
        return {"knn": {3: [0.5]}}

    def imbalance(config, folder, **options):
        seeds["imbalance"] = options["seeds"]
        return {}

    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(curves, "curve", curve)
    monkeypatch.setattr(curves, "imbalance", imbalance)
    words = ("simple_cnn:none", "--pretrain", "digits?classes=0,1", "--out", tmp_path)
    assert command("curve", *words, "--seed", 7, "--seeds", 2) == 0
    assert seeds == {"pretrain": 7, "curve": (7, 8)}
    assert command("curve", *words) == 0
    assert seeds == {"pretrain": 0, "curve": (0, 1, 2, 3, 4)}
    assert command("curve", *words, "--seed", 7, "--smoke", "--pretrain-set", "seed=3") == 0
    assert seeds == {"pretrain": 3, "curve": (7,)}
    for given, expected in ((("--seed", 4, "--seeds", 2), [4, 5]), ((), [0, 1, 2])):
        assert command("imbalance", "simple_cnn:none", *given, "--out", tmp_path) == 0
        assert list(seeds["imbalance"]) == expected


def test_rare_classes_count_more_in_the_loss():
    settings = bodies.settings(FineTuning(body="simple_cnn", weights=None, changes={"class_weight": 1.0}))
    assert settings.class_weights([90, 10]) == {0: pytest.approx(5 / 9), 1: pytest.approx(5)}
    loss = bodies.settings(FineTuning(body="simple_cnn", weights=None, changes={"logit_adjustment": 1.0})).make_loss(
        [90, 10]
    )
    assert loss.prior == (0.9, 0.1)


def test_probes_find_what_is_there():
    rng = np.random.default_rng(0)
    labels = {split: np.arange(count) % 3 for split, count in (("train", 60), ("validation", 30), ("test", 300))}
    features = {}
    for split, each in labels.items():
        values = rng.normal(size=(len(each), 20))
        values[:, :3] += 4 * np.eye(3)[each]
        features[split] = values.astype("float32"), each
    for probe in (probes.linear, probes.knn, probes.svm):
        found = probe(features)
        assert found.accuracy > 0.9
        assert found.interval[0] < found.accuracy < found.interval[1]
    with pytest.raises(ValueError, match="examples of at least two classes. Received: 5 of one"):
        probes.linear({**features, "train": (np.zeros((5, 20)), np.zeros(5, int))})


def test_a_temperature_undoes_sharpening():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([1, 1, 1], 4000)
    labels = np.array([rng.choice(3, p=row) for row in rows])
    sharp = calibration.at_temperature(rows, 0.4)
    assert calibration.temperature_of(sharp, labels) == pytest.approx(2.5, rel=0.1)
    assert calibration.temperature_of(rows, labels) == pytest.approx(1, rel=0.1)


def test_views_move_and_cut():
    picture = tf.reshape(tf.range(16, dtype=tf.float32), (1, 4, 4, 1))
    up, down, left, right = views.parse("shift=1", -1.0)
    assert up(picture)[0, :, :, 0].numpy()[[0, -1]].tolist() == [[4, 5, 6, 7], [-1, -1, -1, -1]]
    assert down(picture)[0, :, :, 0].numpy()[[0, -1]].tolist() == [[-1, -1, -1, -1], [8, 9, 10, 11]]
    assert left(picture)[0, 0, :, 0].numpy().tolist() == [1, 2, 3, -1]
    assert right(picture)[0, 0, :, 0].numpy().tolist() == [-1, 0, 1, 2]
    assert views.parse("flip", 0.0)[0](picture)[0, 0, :, 0].numpy().tolist() == [3, 2, 1, 0]
    flat = tf.fill((2, 8, 8, 3), 0.5)
    for view in views.parse("crop=0.75", 0.0):
        np.testing.assert_allclose(view(flat), flat)
    for text in ("turn", "shift=0", "crop=2", "shift=x"):
        with pytest.raises(ValueError, match="Views are flip, shift=PIXELS or crop=PART, joined by"):
            views.parse(text, 0.0)


def test_the_rate_where_the_loss_falls_fastest():
    logarithms = np.linspace(-6, 0, 61)
    losses = 2 - 1.5 / (1 + np.exp(-4 * (logarithms + 3))) + np.exp(3 * (logarithms - 0.0))
    steepest, lowest = rates._telling((10**logarithms).tolist(), losses.tolist())
    assert np.log10(steepest) == pytest.approx(-3, abs=0.2)
    assert -2.5 < np.log10(lowest) < -1


def test_the_search_for_a_rate_weighs_classes(low):
    data = "digits?classes=0,1,2,3,4&tail=0.1"
    changes = {"augment": "", "batch_size": 1000, "class_weight": 1.0, "logit_adjustment": 0.5}
    chosen = bodies.settings(FineTuning(body="simple_cnn", weights=str(low.folder), data=data, changes=changes))
    found = rates.find(chosen, low=1e-9, high=1e-8, steps=10)  # which changes nothing
    (pictures, labels), *rest = runs.prepare(chosen).pipeline("train").epoch()
    assert not rest
    counts = np.bincount(labels).tolist()
    each = chosen.make_loss(counts).call(labels, low.model(pictures)).numpy()
    weights = np.array([chosen.class_weights(counts)[label] for label in labels.numpy()])
    assert found.losses[0] == pytest.approx((each * weights).sum() / weights.sum(), rel=1e-4)
    assert abs(found.losses[0] - each.mean()) > 1e-3


def test_the_search_for_a_rate_ends_where_the_loss_diverges():
    chosen = runs.Settings(model="simple_cnn", data=HIGH, batch_size=8, augment="", optimizer="sgd")
    found = rates.find(chosen, low=1e-4, high=1e3, steps=40)
    assert 10 < len(found.losses) < 40
    assert found.smoothed[-1] > rates.DIVERGED * min(found.smoothed)
    assert all(value < rates.DIVERGED * min(found.smoothed) for value in found.smoothed[:-1])
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1e3, 40)[: len(found.losses)])
    with pytest.raises(
        ValueError, match=r"The loss was not finite after \d steps from the rate 1e\+30 on. Begin lower."
    ):
        rates.find(chosen, low=1e30, high=1e38, steps=40)


@pytest.mark.slow
def test_the_search_for_a_rate_trains_auxiliary_classifiers_along():
    chosen = runs.Settings(
        model="googlenet", knobs={"dropout": 0.0, "aux_dropout": 0.0}, data="digits", image_size=(96, 96), batch_size=8,
        augment="", auxiliary_weight=0.3
    )  # fmt: skip
    found = rates.find(chosen, low=1e-9, high=1e-8, steps=10)
    run = runs.prepare(chosen)
    training.seed_everything(chosen.seed)
    model = run_training.build_model(chosen, run.config["model"]["arguments"])
    pictures, labels = next(iter(run_training.training_batches(run, chosen).epoch(0)))
    loss = {name: float(chosen.make_loss()(labels, value)) for name, value in model(pictures, training=True).items()}
    assert found.losses[0] == pytest.approx(loss["predictions"] + 0.3 * (loss["aux1"] + loss["aux2"]), rel=1e-4)


def test_the_search_for_a_rate_mixes_pictures(low):
    losses = []
    for changes in ({"mixup": 1.0, "class_weight": 1.0}, {"class_weight": 1.0}):
        config = FineTuning(body="simple_cnn", weights=str(low.folder), data=HIGH, changes=changes)
        losses.append(rates.find(bodies.settings(config), low=1e-9, high=1e-8, steps=10).losses)
    assert abs(losses[0][0] - losses[1][0]) > 1e-3


@pytest.mark.parametrize("policy", ["frozen", "train", "recalibrate"])
def test_the_search_for_a_rate_leaves_batch_norms_as_the_training_does(policy, tmp_path, monkeypatch):
    rows = (("conv", 4, 3), ("batch_norm",), ("max_pool",), ("conv", 4, 3))
    made, create_model = [], zoo.create_model

    def create(*words, **options):
        made.append(create_model(*words, **options))
        return made[-1]

    weights.save(create_model("plain_cnn", rows=rows, classes=5, input_shape=(8, 8, 1)), tmp_path)
    config = FineTuning(
        body="plain_cnn", weights=str(tmp_path), data=HIGH, changes={"rows": rows, "batch_norm": policy}
    )
    monkeypatch.setattr(zoo, "create_model", create)
    rates.find(bodies.settings(config), steps=10, high=1e-3)
    (layer,) = (layer for layer in made[0].layers if isinstance(layer, keras.layers.BatchNormalization))
    assert np.array_equal(layer.moving_variance, np.ones(4)) == (policy == "frozen")
    assert np.array_equal(layer.gamma, np.ones(4)) == (policy != "train")


def test_bodies_by_name(low):
    assert bodies.named("resnet50:torchvision.v2") == ("resnet50", "torchvision.v2")
    assert bodies.named("resnet50") == ("resnet50", "default")
    assert bodies.named("resnet20:none") == ("resnet20", None)
    assert bodies.named(str(low.folder)) == ("simple_cnn", str(low.folder))
    with pytest.raises(ValueError, match="resnet20 has no published weights. Give those of a run, resnet20:runs/x, or"):
        bodies.named("resnet20")
    with pytest.raises(ValueError, match="takes networks for pictures. Received: 'ds_cnn_s', a network for audio"):
        bodies.named("ds_cnn_s:none")


def test_what_cannot_be_is_refused(tmp_path, capsys, low):
    assert command("resnet20:none", "--batch-norm", "frozen", "--out", tmp_path / "a") == 2
    assert "Only weights bring statistics of batch norms. Give weights, or leave out" in capsys.readouterr().err
    assert command("curve", low.folder, "--data", "digits?per_class=3", "--out", tmp_path / "a") == 2
    assert "A curve draws few pictures of each class, from digits or folder:PATH" in capsys.readouterr().err
    assert command("curve", low.folder, "--pretrain", "digits", "--out", tmp_path / "a") == 2
    assert "--pretrain makes the weights; give simple_cnn:none. Received" in capsys.readouterr().err
    assert command("rate", low.folder, "--steps", "3", "--out", tmp_path / "a") == 2
    assert "A search has 0 < low < high, and 10 steps. Received" in capsys.readouterr().err
    with pytest.raises(ValueError, match="Methods are finetune, linear, .* Received: guess"):
        curves.curve(FineTuning(body="resnet20", weights=None), Curve(methods=("guess",)), tmp_path)
    with pytest.raises(ValueError, match=r"each at least 1, and seeds. Received: counts=\(0,\)"):
        Curve(counts=(0,))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["lenet5", "squeezenet1_1"])
@pytest.mark.slow
def test_bodies_of_other_families_give_features(name, tmp_path):
    """Saved with one head, taken without and with another."""
    chosen = bodies.settings(FineTuning(body=name, weights=None, data=HIGH, changes={"image_size": 32}))
    arguments = runs.prepare(chosen).config["model"]["arguments"]
    model = zoo.create_model(name, **{**arguments, "input_shape": tuple(arguments["input_shape"]), "classes": 7})
    weights.save(model, tmp_path / "best")
    chosen = bodies.settings(FineTuning(body=name, weights=str(tmp_path), data=HIGH, changes={"image_size": 32}))
    values, labels = bodies.features(chosen, runs.prepare(chosen))["test"]
    assert len(values) == len(labels) == 179
    assert values.std() > 0
    assert zoo.create_model(name, weights=tmp_path, classes=3, input_shape=(32, 32, 1)).output_shape == (None, 3)


def test_a_search_begins_with_the_stages_of_the_command(low):
    keras_tuner = pytest.importorskip("keras_tuner", reason="it comes with the extra `tune`")
    from tuning import spaces

    space = spaces.space("simple_cnn", "applications.classify.spaces:stages")
    found = runs.Settings(model="simple_cnn", weights=str(low.folder), **space(keras_tuner.HyperParameters()))
    assert found == bodies.settings(FineTuning(body="simple_cnn", weights=str(low.folder)))


@pytest.mark.slow
def test_the_policies_of_batch_norm_in_a_run(tmp_path):
    data = "digits?classes=0,1&per_class=16"
    low = runs.train(runs.Settings(model="resnet20", data=data, epochs=1), tmp_path / "low", test=False)
    moving = {}
    for policy in ("frozen", "train", "recalibrate"):
        config = FineTuning(
            body="resnet20", weights=str(low.folder), data="digits?classes=5,6,7&per_class=16",
            changes={"epochs": 1, "head_epochs": 1, "batch_norm": policy},
        )  # fmt: skip
        run = runs.train(bodies.settings(config), tmp_path / policy, test=False)
        layer = next(layer for layer in run.model.layers if isinstance(layer, keras.layers.BatchNormalization))
        moving[policy] = layer.moving_mean.numpy(), layer.beta.numpy()
    before = low.model.get_layer(layer.name)
    assert np.array_equal(moving["frozen"][0], before.moving_mean)
    for policy in ("train", "recalibrate"):
        assert not np.array_equal(moving[policy][0], before.moving_mean)
    assert np.array_equal(moving["recalibrate"][1], before.beta)
    assert not np.array_equal(moving["train"][1], before.beta)

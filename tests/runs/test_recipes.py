"""Recipes from end to end: each in its short form on real digits."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import zoo
from zoo import cli, runs, training

# A small network that has what the recipe needs: any size for train_size, drop path or auxiliary classifiers where they
# are asked for; else the one that is ready first.
OTHERS = {"lenet5": "lenet5", "googlenet": "googlenet", "inception_v3": "googlenet", "resnet_cifar": "resnet20"}


def ready(recipe):
    needs = training.recipe(recipe).hyperparameters
    return "resnet20" if needs.knobs or needs.train_size or needs.head_epochs else "simple_cnn"


# A network that a recipe for sound, text or signals is for: the first that it names.
NO_PICTURES = {
    name: models[0]
    for name in training.list_recipes()
    if (models := [model for part in training.recipe(name).models for model in zoo.list_models(part)])
    and zoo.model_card(models[0]).modality in ("audio", "text", "signal")
}
RECIPES = {name: OTHERS.get(name, ready(name)) for name in training.list_recipes() if name not in NO_PICTURES}
# One of each; the others differ from them in numbers alone.
SHORT_OF_OTHERS = ("time_series_fcn", "kim_cnn", "ds_cnn")


# Few to train on; those to be evaluated on are all there.
FEW = "digits?per_class=20"


def train_short(name, folder, **changes):
    model = RECIPES[name]
    if model == "resnet20":
        changes = {"image_size": (12, 12), **changes} if training.recipe(name).hyperparameters.train_size else changes
        changes = {"train_size": (8, 8), **changes} if "image_size" in changes else {"image_size": None, **changes}
    if model == "simple_cnn":
        changes = {"image_size": None, **changes}
    if model == "googlenet":
        changes = {"image_size": None, "batch_size": 128, "knobs": {"stem": "cifar"}, **changes}
    settings = runs.Settings.from_recipe(training.recipe(name).smoke(), model=model, **{"data": FEW, **changes})
    return runs.train(settings, folder)


def check(run, name):
    config, result = run.config["training"], run.result()
    assert config["recipe"]["name"] == name
    assert config["recipe"]["url"] == training.recipe(name).source.url
    assert result["epochs"] == 2
    assert np.isfinite(result["evaluation"]["loss"])
    assert all(np.isfinite(record["loss"]) for record in run.history())
    if config["auxiliary_weight"]:
        check_auxiliary(run)


def check_auxiliary(run):
    """Auxiliary classifiers train along and stay behind."""
    assert run.config["model"]["arguments"]["aux"] is True
    model = check_opens(run).model
    assert len(model.weights) < zoo.weights.open_weights(run.folder / "best").manifest["num_tensors"]
    assert model.output_shape == (None, 10)
    assert not any(layer.name.startswith("aux") for layer in model.layers)


def kind(recipe):
    """What a training does; recipes of one kind differ in numbers alone."""
    it = training.recipe(recipe).hyperparameters
    if it.auxiliary_weight:
        return "auxiliary classifiers"
    return it.optimizer, it.loss, it.head_epochs > 0, it.repeats > 1, it.train_size is None


KINDS = {kind(name): name for name in reversed(RECIPES)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in KINDS.values() else pytest.mark.exhaustive)
     for name in RECIPES],
)  # fmt: skip
def test_every_short_form_runs(tmp_path, name):
    check(train_short(name, tmp_path / "run"), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT_OF_OTHERS)
def test_short_forms_of_other_modalities_run(tmp_path, name):
    model = NO_PICTURES[name]
    modality = zoo.model_card(model).modality
    if modality == "audio":
        soundfile = pytest.importorskip("soundfile")
        for label, hertz in (("low", 300), ("high", 2500)):
            (tmp_path / "clips" / label).mkdir(parents=True)
            for index in range(12):
                tone = 0.3 * np.sin(2 * np.pi * (hertz + 10 * index) * np.arange(12000) / 16000)
                soundfile.write(tmp_path / "clips" / label / f"{index}.wav", tone, 16000)
    names = {"audio": f"wav:{tmp_path / 'clips'}", "text": "text:order", "signal": "signals:cbf?validation=train"}
    knobs = {"filters": 8, "dimensions": 16} if name == "kim_cnn" else {}
    settings = runs.Settings.from_recipe(training.recipe(name).smoke(), model=model, data=names[modality], knobs=knobs)
    check(runs.train(settings, tmp_path / "run"), name)


def check_opens(run):
    """Opened again, a run answers as it did."""
    again = runs.open_run(run.folder)
    scores, expected = again.evaluate("test"), run.result()["evaluation"]
    assert scores["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert scores["accuracy"] == expected["accuracy"]
    return again


def test_auxiliary_classifiers_need_a_network_that_has_them():
    with pytest.raises(ValueError, match="resnet20 has no auxiliary classifiers. Received: auxiliary_weight=0.3"):
        runs.Settings.from_recipe("googlenet", model="resnet20")
    with pytest.raises(ValueError, match="Give auxiliary_weight, such as 0.3, instead of the knob aux=True"):
        runs.Settings(model="googlenet", knobs={"aux": True})


@pytest.mark.slow
def test_the_ingredients_of_a_modern_recipe_arrive(tmp_path):
    """Trained small and tested large, by one question a class, on mixed pictures, in a run that opens again."""
    run = train_short("rsb_a3", tmp_path / "run", epochs=1, warmup_epochs=0)
    assert run.config["model"]["arguments"]["classifier_activation"] == "sigmoid"
    assert run.config["data"]["image_size"] == [12, 12]
    assert run.config["training"]["train_size"] == [8, 8]
    assert run.model.input_shape == (None, 12, 12, 1)
    again = check_opens(run)
    probabilities = [p for _, p in again.predict([digit(tmp_path)], top=10)[0]]
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def digit(folder):
    path = folder / "digit.png"
    Image.fromarray(np.rint(load_digits().images[0] * 255 / 16).astype("uint8")).save(path)
    return path


class StopHereError(Exception):
    pass


@pytest.mark.slow
def test_the_head_is_trained_first_and_an_interrupted_run_ends_alike(tmp_path):
    settings = runs.Settings(model="simple_cnn", data=FEW, epochs=2, batch_size=64)
    base = runs.train(settings, tmp_path / "base", test=False)
    settings = runs.Settings.from_recipe(
        training.recipe("finetune_two_stage").smoke(), model="simple_cnn", data=FEW, image_size=None, batch_size=64,
        augment="shift=1", weights=str(base.folder / "best"),
    )  # fmt: skip
    whole = runs.train(settings, tmp_path / "whole")
    assert len(whole.result()["head"]) == 1
    assert whole.result()["head"][0]["learning_rate"] == pytest.approx(1e-3)
    assert len(whole.history()) == 2
    # One epoch of the head lowers the loss of what the weights gave before.
    assert whole.history()[-1]["val_loss"] < base.history()[-1]["val_loss"]

    import keras

    def stop(batch, logs):
        raise StopHereError

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(StopHereError):
        runs.train(settings, tmp_path / "other", callbacks=[callback])
    assert (tmp_path / "other" / "checkpoints_head").is_dir()
    other = runs.train(settings, tmp_path / "other")
    for name in ("metrics.jsonl", "best/manifest.json"):
        assert (other.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.slow
def test_the_head_stage_leaves_the_body_as_it_is(tmp_path, monkeypatch):
    """What the second stage starts from: the body of the weights given, statistics too, and another head."""
    base = runs.train(runs.Settings(model="resnet20", data=FEW, epochs=1), tmp_path / "base", test=False)
    seen = {}

    def remember(model):
        seen.update({item.path: item.numpy() for item in model.variables})
        original(model)

    original = training.unfreeze
    monkeypatch.setattr(training, "unfreeze", remember)
    settings = runs.Settings.from_recipe(
        training.recipe("finetune_two_stage").smoke(), model="resnet20", data=FEW, image_size=None, epochs=2,
        augment="", weights=str(base.folder / "best"),
    )  # fmt: skip
    runs.train(settings, tmp_path / "fine", test=False)
    for variable in base.model.variables:
        is_same = np.array_equal(variable.numpy(), seen[variable.path])
        assert is_same == (not variable.path.startswith("logits")), variable.path


def test_settings_without_a_recipe_are_those_of_before():
    settings = runs.Settings(model="resnet20")
    assert settings.recipe is None
    assert (settings.epochs, settings.learning_rate, settings.weight_decay, settings.augment) == (
        150,
        3e-3,
        0.05,
        "shift=1",
    )
    model = zoo.create_model("resnet20")
    assert type(settings.make_optimizer(model, 37)).__name__ == "AdamW"
    assert settings.make_loss().get_config()["label_smoothing"] == 0


def test_knobs_of_a_recipe_that_a_model_has_not_are_refused():
    with pytest.raises(ValueError, match="The recipe 'rsb_a2' sets drop_path. .*Leave a knob out by the value None"):
        runs.Settings.from_recipe("rsb_a2", model="vgg16")
    settings = runs.Settings.from_recipe("rsb_a2", model="vgg16", knobs={"drop_path": None})
    assert settings.knobs == {}
    with pytest.raises(TypeError, match="has no argument 'depth'"):
        runs.Settings.from_recipe("smoke", model="vgg16", knobs={"depth": 3})


def test_a_training_size_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match=r"vgg16 takes pictures of at least 32x32. Received: train_size=\(16, 16\)"):
        runs.Settings(model="vgg16", train_size=16)


@pytest.fixture
def folder_of_digits(tmp_path):
    """Class folders of PNG files."""
    bunch = load_digits()
    for index in range(200):
        place = tmp_path / "digits" / str(bunch.target[index])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(bunch.images[index] * 255 / 16).astype("uint8")).save(place / f"{index}.png")
    return tmp_path / "digits"


@pytest.mark.slow
def test_the_paper_recipe_on_a_folder_by_the_command_line(folder_of_digits, tmp_path, capsys):
    command = ["train", "resnet20", "--data", f"folder:{folder_of_digits}", "--recipe", "paper", "--out",
               str(tmp_path / "run"), "--epochs", "2", "--set", "lr=0.05", "--set", "image_size=16",
               "--set", "drop_path=0.1", "--batch-size", "32"]  # fmt: skip
    assert cli.main(command) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    recipe = config["training"]["recipe"]
    assert recipe["name"] == "resnet_cifar"
    assert recipe["changed"] == {
        "epochs": 2, "learning_rate": 0.05, "image_size": 16, "knobs": {"drop_path": 0.1}, "batch_size": 32
    }  # fmt: skip
    assert config["training"]["coupled_decay"] is True
    assert config["model"]["arguments"]["drop_path"] == 0.1
    assert config["data"]["image_size"] == [16, 16]


def test_the_paper_recipe_on_cifar10(tmp_path, monkeypatch):
    """TensorFlow Datasets' stand-in for CIFAR-10: its shapes and classes, random pixels."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="the extra 'data' is not installed")
    load = zoo.data.load
    monkeypatch.setattr(zoo.data, "load", lambda name, **options: load(
        name, **options, data_dir=tmp_path / "tfds", download=True))  # fmt: skip
    command = ["train", "resnet20", "--data", "tfds:cifar10", "--recipe", "resnet_cifar", "--out",
               str(tmp_path / "run"), "--epochs", "1", "--batch-size", "32"]  # fmt: skip
    with tfds.testing.mock_data(num_examples=60):
        assert cli.main(command) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["arguments"] == {"classes": 10, "input_shape": [32, 32, 3]}
    assert config["training"]["augment"] == "shift=4,flip"
    assert config["training"]["weight_decay"] == 1e-4


def test_a_recipe_in_a_file_by_the_command_line(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text('base = "smoke"\n[hyperparameters]\nepochs = 1\nmixup = 0.2\n')
    command = ["train", "simple_cnn", "--recipe", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["training"]["epochs"], config["training"]["mixup"]) == (1, 0.2)
    assert cli.main(["train", "simple_cnn", "--recipe", "smok", "--out", str(tmp_path / "b")]) == 2
    assert "There is no recipe named 'smok'. Did you mean smoke" in capsys.readouterr().err


def test_recipes_are_listed_and_shown(capsys):
    assert cli.main(["recipes"]) == 0
    out = capsys.readouterr().out
    for name in training.list_recipes():
        assert name in out
        assert training.recipe(name).source.url in out
    assert "resnet20 on CIFAR-10: top-1 91.25 % (test set)" in out
    assert cli.main(["recipes", "rsb_a1"]) == 0
    out = capsys.readouterr().out
    assert "binary_cross_entropy" in out
    assert "0.005" in out
    assert cli.main(["recipes", "resnet_cifar", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hyperparameters"]["learning_rate"] == 0.1
    assert cli.main(["recipes", "resnet_cifer"]) == 2
    assert "Did you mean resnet_cifar" in capsys.readouterr().err

"""The main job from end to end, on the real digits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import zoo
from zoo import runs

# Few to train on; those to be evaluated on are all there.
FEW = "digits?per_class=30"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short but real training: `simple_cnn` for a few epochs."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    settings = runs.Settings(model="simple_cnn", seed=1, epochs=6, batch_size=64)
    return runs.train(settings, folder, command=["zoo", "train", "simple_cnn"])


def test_the_folder_is_complete(run):
    assert sorted(os.listdir(run.folder)) == [
        "best", "checkpoints", "config.json", "figures", "metrics.jsonl", "report.html", "result.json", "tensorboard",
        "timing.jsonl",
    ]  # fmt: skip
    assert {"curves.png", "confusion.png", "mistakes.png", "filters.png"} <= set(os.listdir(run.folder / "figures"))
    assert len(run.history()) == 6


def test_the_result_says_what_happened(run):
    result = run.result()
    assert result["stopped"] == {"rule": "epochs", "explanation": "all 6 epochs are done"}
    assert result["evaluation"]["examples"] == 359
    assert result["evaluation"]["accuracy"] > 0.9
    best = min(run.history(), key=lambda record: record["val_loss"])
    assert result["best"]["epoch"] == best["epoch"]
    assert result["num_params"] == 137_660


def test_pictures_are_resized_where_the_model_needs_it(run):
    assert run.config["model"]["arguments"]["input_shape"] == [28, 28, 1]
    assert run.config["data"]["image_size"] == [28, 28]


def test_an_opened_run_gives_the_same_scores(run):
    again = runs.open_run(run.folder)
    scores, expected = again.evaluate("test"), run.result()["evaluation"]
    assert scores.pop("loss") == pytest.approx(expected.pop("loss"), rel=1e-6)
    assert scores == expected
    assert again.evaluate("train")["examples"] == 1169


def digit_file(folder, index):
    """One of scikit-learn's digits as a PNG file, and what it shows."""
    bunch = load_digits()
    path = folder / f"digit{index}.png"
    Image.fromarray(np.rint(bunch.images[index] * 255 / 16).astype("uint8")).save(path)
    return path, str(bunch.target[index])


def test_predicting_files_agrees_with_the_pipeline(run, tmp_path):
    indices = [int(run.dataset.example_name("test", i).split("/")[1]) for i in range(30)]
    files = [digit_file(tmp_path, index) for index in indices]
    answers = run.predict([path for path, _ in files], top=3)
    batch = next(iter(run.pipeline("test").epoch()))[0][:30]
    expected = run.model(batch).numpy()
    for answer, row in zip(answers, expected, strict=True):
        assert len(answer) == 3
        assert answer[0][0] == run.dataset.classes[row.argmax()]
        assert [p for _, p in answer] == pytest.approx(np.sort(row)[::-1][:3], abs=1e-5)
    right = np.mean([answer[0][0] == label for answer, (_, label) in zip(answers, files, strict=True)])
    assert right > 0.8


def test_the_report_can_be_written_again(run):
    before = run.report().read_bytes()
    assert run.report().read_bytes() == before
    assert b"simple_cnn" in before


def test_two_runs_of_a_seed_are_identical(tmp_path):
    """In processes of their own: what is drawn at import must not matter. Another seed is a slow test's matter."""
    assert metrics_of_a_process(tmp_path / "a", seed=5) == metrics_of_a_process(tmp_path / "b", seed=5)
    weights = [(tmp_path / name / "best" / "manifest.json").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.slow
@pytest.mark.exhaustive  # two more trainings in processes of their own
def test_runs_of_two_seeds_differ(tmp_path):
    assert metrics_of_a_process(tmp_path / "a", seed=5) != metrics_of_a_process(tmp_path / "b", seed=6)


def metrics_of_a_process(folder, seed):
    command = [sys.executable, "-m", "zoo", "train", "resnet20", "--seed", str(seed), "--epochs", "1"]
    command += ["--set", "drop_path=0.1", "--augment", "flip,shift=1", "--data", FEW, "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "metrics.jsonl").read_bytes()


DEVICES = """
import tensorflow as tf
from zoo import runs, training
runs.Settings.from_recipe("rsb_a3", model="resnet20", optimizer="sgd", optimizer_options={"momentum": 0.8})
assert training.make_strategy(2).num_replicas_in_sync == 2
"""


def test_a_value_that_the_optimizer_refuses_is_found_before_the_data_is_read(tmp_path):
    settings = runs.Settings(
        model="resnet20", data="folder:nowhere", optimizer="sgd", optimizer_options={"momentum": 1.5}
    )
    with pytest.raises(ValueError, match="optimizer_options do not fit optimizer='sgd': .*momentum"):
        runs.train(settings, tmp_path / "a")


def test_settings_leave_the_choice_of_devices_open():
    """TensorFlow takes its devices, and its place among workers, with the first tensor that anything makes."""
    subprocess.run([sys.executable, "-c", DEVICES], check=True)


@pytest.mark.slow
def test_the_model_takes_the_size_and_channels_of_the_data(tmp_path):
    run = runs.train(runs.Settings(model="resnet20", data=FEW, epochs=1), tmp_path / "a", test=False)
    assert run.model.input_shape == (None, 8, 8, 1)
    settings = runs.Settings(model="resnet20", data=FEW, epochs=1, image_size=(12, 10))
    run = runs.train(settings, tmp_path / "b", test=False)
    assert run.model.input_shape == (None, 12, 10, 1)


@pytest.mark.slow
def test_recomputed_feature_maps_change_no_number(tmp_path):
    settings = runs.Settings(model="simple_cnn", data=FEW, epochs=1, batch_size=64)
    kept, again = (runs.train(settings, tmp_path / str(value), recompute=value) for value in (False, True))
    for name in ("loss", "accuracy"):
        assert again.result()["evaluation"][name] == pytest.approx(kept.result()["evaluation"][name], rel=1e-4)


def test_target_and_patience_end_a_training(tmp_path):
    run = runs.train(runs.Settings(model="simple_cnn", epochs=50, target=0.5), tmp_path / "a", test=False)
    assert run.result()["stopped"]["rule"] == "Target"
    assert run.result()["epochs"] < 10
    run = runs.train(
        runs.Settings(model="simple_cnn", data=FEW, epochs=50, patience=1, learning_rate=0.1, plateau=0),
        tmp_path / "b", test=False,
    )  # fmt: skip
    assert run.result()["stopped"]["rule"] == "Patience"


def test_a_training_that_diverges_ends_with_a_reason(tmp_path):
    settings = runs.Settings(model="simple_cnn", epochs=5, optimizer="sgd", learning_rate=1e20)
    with pytest.raises(
        zoo.training.NonFiniteLossError, match=r"loss of batch \d of epoch 1 is (nan|inf).*that of step 0"
    ):
        runs.train(settings, tmp_path / "a")
    assert list((tmp_path / "a" / "bad_batches").glob("epoch1_batch*.npz"))
    with pytest.raises(ValueError, match="has no weights yet: its training ended before the first epoch"):
        _ = runs.open_run(tmp_path / "a").model
    with pytest.raises(ValueError, match=r"is no finished run: it has no result.json"):
        runs.open_run(tmp_path / "a").report()


def test_a_used_folder_is_refused_and_overwritten_on_request(run, tmp_path):
    settings = runs.Settings(model="simple_cnn", epochs=1)
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(
        ValueError, match=r"holds another run\. .*there, now\): .*training.epochs 6, 1; .*batch_size 64, 32; seed 1, 0"
    ):
        runs.train(settings, run.folder)
    assert (run.folder / "config.json").read_bytes() == before
    (tmp_path / "mine.txt").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="holds other files; a run needs a folder of its own"):
            runs.train(settings, tmp_path, overwrite=overwrite)
    with pytest.raises(ValueError, match=r"mine.txt is a file"):
        runs.train(settings, tmp_path / "mine.txt")
    first = runs.train(settings, tmp_path / "run", test=False).folder
    (first / "old").write_text("")
    runs.train(settings, first, overwrite=True, test=False)
    assert not (first / "old").exists()


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"save_minutes": 0}, "save_minutes must be a finite number above 0"),
        ({}, {"save_steps": 0}, "save_steps must be a finite number above 0"),
        ({"model": "vgg16", "image_size": 8}, {}, "vgg16 needs an input of at least"),
        ({"model": "googlenet", "auxiliary_weight": 0.3}, {"recompute": True}, "can be recomputed"),
    ],
)
def test_what_cannot_be_trained_deletes_no_run_and_leaves_no_folder(run, tmp_path, changes, options, message):
    shutil.copytree(run.folder, tmp_path / "old")
    settings = runs.Settings(**{"model": "simple_cnn", **changes})
    for folder in (tmp_path / "old", tmp_path / "new"):
        with pytest.raises(ValueError, match=message):
            runs.train(settings, folder, overwrite=True, **options)
    assert sorted(os.listdir(tmp_path / "old")) == sorted(os.listdir(run.folder))
    assert not (tmp_path / "new").exists()


def test_a_class_without_examples_deletes_no_run(run, tmp_path, monkeypatch):
    shutil.copytree(run.folder, tmp_path / "old")
    monkeypatch.setattr(np, "bincount", lambda labels, minlength: np.zeros(minlength, int))
    with pytest.raises(ValueError, match="digits has no training example of '0'"):
        runs.train(runs.Settings(model="simple_cnn", class_weight=1), tmp_path / "old", overwrite=True)
    assert runs.open_run(tmp_path / "old").result() == run.result()


def test_a_finished_run_is_left_as_it_is(run):
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    again = runs.train(runs.Settings(model="simple_cnn", seed=1, epochs=6, batch_size=64), run.folder)
    assert again.result() == run.result()
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


class StopHereError(Exception):
    pass


def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path):
    settings = runs.Settings(
        model="resnet20", data=FEW, epochs=2, batch_size=32, augment="flip,shift=1", average=0.9, schedule="cosine",
        clip_norm=1.0, accumulate=2, knobs={"drop_path": 0.1},
    )  # fmt: skip
    calls = []

    def stop(batch, logs):
        calls.append(batch)
        if len(calls) == 4:  # in the second epoch, behind a checkpoint within it
            raise StopHereError

    whole = runs.train(settings, tmp_path / "whole", save_steps=4)
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(StopHereError):
        runs.train(settings, tmp_path / "other", save_steps=4, callbacks=[callback])
    assert calls == [7, 9, 7, 9]
    assert not (tmp_path / "other" / "result.json").exists()
    with open(tmp_path / "other" / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "loss": 0}\n')  # of an epoch that no checkpoint has ended
    other = runs.train(settings, tmp_path / "other", save_steps=4)
    for name in ("metrics.jsonl", "best/manifest.json"):
        assert (other.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    for name in ("stopped", "best", "evaluation", "epochs"):
        assert other.result()[name] == whole.result()[name]


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    folder = tmp_path / "run"
    settings = runs.Settings(model="simple_cnn", epochs=1)
    (folder / "checkpoints").mkdir(parents=True)
    store = zoo.training.Checkpoints(folder / "checkpoints")
    for overwrite in (False, True):
        with pytest.raises(zoo.training.RunInUse):
            runs.train(settings, folder, overwrite=overwrite)
    store.close()
    assert runs.train(settings, folder, test=False).result()["epochs"] == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "resnet21"}, ValueError, "There is no model named 'resnet21'. Did you mean"),
        ({"knobs": {"depth": 3}}, TypeError, "has no argument 'depth'"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1. Received: epochs=0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be above 0"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be at least 0"),
        ({"optimizer": "sgdm"}, ValueError, "optimizer must be 'adamw', 'sgd', .*Received: optimizer='sgdm'"),
        ({"target": 99}, ValueError, "target must be above 0 and at most 1. Received: target=99"),
        ({"max_minutes": 0}, ValueError, "max_minutes must be above 0, or None. Received: max_minutes=0"),
        ({"schedule": "linear"}, ValueError, "schedule must be 'constant', .*. Received: schedule='linear'"),
        ({"average": 1.0}, ValueError, "average must be from 0 to below 1. Received: average=1.0"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be above 0. Received: clip_norm=0.0"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1"),
        ({"on_nonfinite": "go"}, ValueError, "on_nonfinite must be 'stop', 'skip' or 'lower'"),
        ({"on_nonfinite": "lower", "schedule": "cosine"}, ValueError, '"lower" needs schedule="constant"'),
        ({"augment": "blur"}, ValueError, "Augmentations are flip"),
    ],
)
def test_illegal_settings_are_refused_before_anything_is_read(changes, error, message):
    with pytest.raises(error, match=message):
        runs.Settings(**{"model": "resnet20", **changes})


def test_other_data_must_have_the_same_classes(run, tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(10):
            digit_file(tmp_path / label, index)
    with pytest.raises(ValueError, match=r"has other classes than the run. Expected: 0, 1, 2.* Received: a, b"):
        run.evaluate("test", f"folder:{tmp_path}")


def test_a_run_is_evaluated_on_a_folder_of_digits(run, tmp_path):
    labels = load_digits().target
    for index in range(300):
        folder = tmp_path / str(labels[index])
        folder.mkdir(exist_ok=True)
        digit_file(folder, index)
    scores = run.evaluate("train", f"folder:{tmp_path}")
    assert scores["examples"] > 150
    assert scores["accuracy"] > 0.9


def test_damaged_folders_are_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"is no finished run: it has no config.json"):
        runs.open_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        runs.open_run(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="has format 99, this version reads 1"):
        runs.open_run(tmp_path)


def test_a_half_written_last_line_is_left_out(run, tmp_path):
    copy = runs.Run(tmp_path, run.config)
    text = (run.folder / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").write_text(text + text[:20])
    assert copy.history() == run.history()


def check_whole(folder):
    """Every file of a run folder can be read to its end."""
    for path in folder.rglob("*"):
        if runs.run.CHECKPOINTS in path.parts:
            continue  # a checkpoint is whole once its folder has its name; half-written ones are swept up later
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            assert all(json.loads(line) for line in path.read_text().splitlines())
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        assert not path.name.endswith(zoo.files.TEMPORARY_SUFFIX), path
    if (folder / "best" / "manifest.json").exists():
        run = runs.open_run(folder)
        assert isinstance(run.model, keras.Model)
        return run.model
    return None


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kill_at_any_moment_leaves_no_half_written_file(tmp_path):
    """Three moments spread over a training that improves in every epoch, evaluates and writes its report."""
    command = [sys.executable, "-m", "zoo", "train", "simple_cnn", "--epochs", "8", "--batch-size", "128", "--out"]

    def start(folder):
        """A training whose folder has just come to be."""
        process = subprocess.Popen([*command, str(folder)], stderr=subprocess.DEVNULL)
        while not (folder / "config.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        return process

    process, began = start(tmp_path / "whole"), time.monotonic()
    assert process.wait() == 0
    seconds = time.monotonic() - began
    killed = 0
    for index in range(3):
        process = start(tmp_path / str(index))
        time.sleep(seconds * index / 3)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        check_whole(tmp_path / str(index))
    assert killed


@pytest.mark.parametrize("epochs_before", [1, 3])
def test_kill_leaves_no_half_written_file(tmp_path, epochs_before):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "zoo", "train", "simple_cnn", "--out", str(folder), "--epochs", "500"]
    process = subprocess.Popen([*command, "--patience", "500"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        metrics = folder / "metrics.jsonl"
        while not (metrics.exists() and len(metrics.read_text().splitlines()) >= epochs_before):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert check_whole(folder) is not None


def test_a_training_that_pauses_goes_on_as_if_it_had_not(tmp_path):
    settings = runs.Settings(model="simple_cnn", data=FEW, seed=1, epochs=3, batch_size=64, schedule="cosine")
    whole = runs.train(settings, tmp_path / "whole", test=False)
    first = runs.train(settings, tmp_path / "parts", until=1, test=False)
    assert first.result()["epochs"] == 1
    again = runs.train(settings, tmp_path / "parts", until=1, test=False)
    assert again.result() == first.result()
    parts = runs.train(settings, tmp_path / "parts", test=False)
    assert parts.history() == whole.history()
    assert "evaluation" not in parts.result()
    assert not (tmp_path / "parts" / "report.html").exists()
    tested = runs.train(settings, tmp_path / "parts")
    assert tested.result()["evaluation"]["examples"] == 359
    assert tested.history() == whole.history()


def test_a_pause_before_the_first_epoch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="until must be at least 1, or None. Received: until=0"):
        runs.train(runs.Settings(model="simple_cnn"), tmp_path / "a", until=0)

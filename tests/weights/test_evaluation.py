"""Top-1 and top-5 on a folder of ImageNet's classes, and `zoo evaluate MODEL:TAG`."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from zoo import cli
from zoo.data import DataError
from zoo.weights import Preprocessing
from zoo.weights.evaluation import evaluate, labelled_files

FOLDERS = {"n01440764": 0, "golden_retriever": 207, "Crane Bird": 134}
PREPROCESSING = Preprocessing(resize_size=16, crop_size=12)


def save(path, seed, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), "uint8")).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Pictures of three classes, of several sizes and formats, and what systems leave beside them."""
    root = tmp_path / "pictures"
    for number, name in enumerate(FOLDERS):
        for item in range(3):
            save(root / name / f"{item}.{('png', 'JPEG', 'bmp')[item]}", 10 * number + item, (40 + 9 * item, 60))
    Image.new("L", (30, 30), 99).save(root / "n01440764" / "grey.png")
    (root / "n01440764" / ".hidden").touch()
    (root / "Thumbs.db").touch()
    return root


@pytest.fixture
def network():
    """Scores that depend on the picture, without training."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Dense(1000, use_bias=False)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, x)


def test_accuracy_is_what_a_loop_over_the_files_finds(folder, network):
    rights = []
    for name, label in FOLDERS.items():
        for path in sorted((folder / name).glob("[!.]*")):
            predictions = zoo.decode_predictions(network(PREPROCESSING(path)[None]), top=5)[0]
            wnids = [prediction.wnid for prediction in predictions]
            own = zoo.weights.imagenet_classes()[label].wnid
            rights.append((wnids[0] == own, own in wnids))
    steps = []
    for batch_size in (1, 4, 64):
        found = evaluate(network, PREPROCESSING, folder, batch_size=batch_size, progress=lambda *at: steps.append(at))
        assert (found.pictures, found.classes, found.is_imagenet) == (10, 3, False)
        assert (found.top1, found.top5) == pytest.approx(tuple(100 * np.mean(rights, axis=0)))
    assert steps[-4:] == [(4, 10), (8, 10), (10, 10), (10, 10)]


def with_bias(network, bias):
    inputs = keras.Input((12, 12, 3))
    head = keras.layers.Dense(1000, kernel_initializer="zeros")
    model = keras.Model(inputs, head(keras.layers.Flatten()(inputs)))
    head.bias.assign(bias)
    return model


def test_ranks_and_ties(folder, network):
    """Of equal scores the first class counts, so that a network that says nothing is right about class 0 alone."""
    found = evaluate(with_bias(network, np.zeros(1000)), PREPROCESSING, folder)
    assert (found.top1, found.top5) == (40.0, 40.0)
    bias = np.zeros(1000)
    bias[[1, 2, 3, 134, 207, 5]] = 9, 8, 7, 6, 5, 4
    found = evaluate(with_bias(network, bias), PREPROCESSING, folder)
    assert (found.top1, found.top5) == (0.0, 60.0)
    with pytest.raises(ValueError, match=r"values that are not numbers \(NaN\): its weights do not fit"):
        evaluate(with_bias(network, np.full(1000, np.nan)), PREPROCESSING, folder)


@pytest.mark.parametrize(("change", "message"), [
    (lambda root: (root / "goldfisch").mkdir(), "no class of ImageNet-1k is called goldfisch. Did you mean goldfish"),
    (lambda root: (root / "tench").mkdir(), "has two folders for one class: n01440764, tench."),
    (lambda root: (root / "CARDIGAN").mkdir(),
     r"CARDIGAN may be Cardigan \(n02113186\) or cardigan \(n02963159\)\. Call it by the WordNet id"),
    (lambda root: (root / "n01443537").mkdir(), "n01443537 holds no picture."),
    (lambda root: save(root / "loose.png", 0), "must hold a folder for each class and nothing else. Received: loose.p"),
    (lambda root: (root / "val").mkdir(), r"holds the splits val. Give one of them, such as .*val\."),
    (lambda root: (root / "n01440764" / "x.txt").touch(), r"x.txt is no picture by its name \(known: .jpg"),
    (lambda root: (root / "n01440764" / "x.png").touch(), "x.png cannot be used: the file is empty."),
])  # fmt: skip
def test_folders_that_are_refused(folder, network, change, message):
    change(folder)
    with pytest.raises(DataError, match=message):
        evaluate(network, PREPROCESSING, folder)


@pytest.mark.parametrize("spelling", [
    lambda item: item.wnid,
    lambda item: item.name,
    lambda item: item.name.replace(" ", "_"),
], ids=["wnid", "name", "underscores"])  # fmt: skip
def test_every_class_is_found_by_its_id_and_name(tmp_path, spelling):
    """The dog is a Cardigan and the knitwear a cardigan; no other two names differ in capitals alone."""
    classes = zoo.weights.imagenet_classes()
    for item in classes:
        (tmp_path / spelling(item)).mkdir()
        (tmp_path / spelling(item) / "a.png").touch()
    found = {path.parent.name: index for path, index in labelled_files(tmp_path)}
    assert found == {spelling(item): index for index, item in enumerate(classes)}


def test_arguments_that_are_refused(folder, network, tmp_path):
    with pytest.raises(DataError, match="nowhere is no folder"):
        evaluate(network, PREPROCESSING, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty is empty. Expected a folder for each class"):
        evaluate(network, PREPROCESSING, tmp_path / "empty")
    with pytest.raises(ValueError, match="batch_size must be a whole number, at least 1. Received: batch_size=0"):
        evaluate(network, PREPROCESSING, folder, batch_size=0)
    with pytest.raises(ValueError, match=r"must give \(batch, 1000\), ImageNet-1k's classes. Received: \(None, 10\)"):
        evaluate(zoo.create_model("resnet20"), PREPROCESSING, folder)


def call(capsys, *arguments):
    code = cli.main(["evaluate", *map(str, arguments)])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_the_command(warm, folder, capsys):
    code, out, error = call(capsys, "resnet18:timm.a1", "--data", f"folder:{folder}", "--json")
    assert code == 0, error
    record = json.loads(out)
    assert {key: record[key] for key in ("weights", "pictures", "classes", "published_top1", "published_top5")} == {
        "weights": "resnet18:timm.a1", "pictures": 10, "classes": 3, "published_top1": 73.164, "published_top5": 91.054
    }  # fmt: skip
    model = zoo.create_model("resnet18", weights="timm.a1", input_shape=(288, 288, 3))
    preprocessing = zoo.preprocessor("resnet18", "timm.a1")
    assert (record["top1"], record["top5"]) == dataclasses.astuple(evaluate(model, preprocessing, folder))[2:]

    for path in folder.glob("[nC]*"):
        shutil.rmtree(path)  # what is left is enough for the other form
    code, out, _ = call(capsys, "resnet18:timm.a1", "--data", f"folder:{folder}", "--batch-size", 3)
    lines = out.splitlines()
    assert lines[0].split() == ["top-1", "%", "top-5", "%"]
    assert lines[1].startswith("resnet18:timm.a1")
    assert lines[1].endswith("3 pictures of 1 of the 1000 classes")
    assert lines[2].split()[:3] == ["published", "73.16", "91.05"]
    assert lines[2].endswith("ImageNet-1k's 50000 validation pictures, centre crop of 288 from 288, bicubic")
    assert lines[3].startswith("These are not all 50000 pictures")


def test_a_wrong_folder_costs_no_download(capsys, monkeypatch):
    monkeypatch.setattr(zoo.weights.cache, "fetch", lambda *_: pytest.fail("this downloads"))
    code, _, error = call(capsys, "resnet18:timm.a1", "--data", "folder:/nowhere")
    assert (code, error) == (2, "zoo evaluate: error: /nowhere is no folder.\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["resnet18:timm.a1"], "--data folder:PATH. Received: --data nothing"),
    (["resnet18:timm.a1", "--data", "digits"], "Received: --data digits"),
    (["resnet18:timm.a1", "--data", "folder:/nowhere", "--split", "test"], "--split is for runs"),
    (["resnet18:timm.zz", "--data", "folder:/nowhere"], "'resnet18' has no published weights 'timm.zz'"),
    (["lenet5", "--data", "folder:/nowhere"], "'lenet5' has no published weights 'default'"),
])  # fmt: skip
def test_the_command_refuses(capsys, arguments, message):
    code, _, error = call(capsys, *arguments)
    assert (code, error.count("\n"), message in error) == (2, 1, True), error

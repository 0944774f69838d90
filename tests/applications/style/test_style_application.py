"""Style from pictures to paintings, by the command line."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from applications.style import johnson
from applications.style.body import open_body
from applications.style.commands import add
from applications.style.config import FEED_FORWARD_SMOKE, FeedForward, Transfer
from zoo import cli
from zoo.deploy import Predictor


def command(words):
    return cli.main(["style", *map(str, words)], add=[add])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, size in enumerate(((37, 30), (40, 26), (33, 50))):
        values = np.random.default_rng(number).integers(0, 256, (*size, 3), "uint8")
        Image.fromarray(values).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(3)]


def test_a_picture_is_painted_with_a_warning_where_weights_are_absent(files, tmp_path, capsys):
    words = [*files[:2], "--body", "plain_cnn", "--smoke", "--out", tmp_path / "out.png", "--run", tmp_path / "run"]
    assert command(words) == 0
    said = capsys.readouterr()
    assert "zoo style: warning: plain_cnn has no weights" in said.err
    assert "the picture will not look like the style" in (tmp_path / "run" / "report.html").read_text()
    with Image.open(tmp_path / "out.png") as found:
        assert found.size == (26, 32)
        first = np.asarray(found)
    # Once more it has nothing left to do, and says the same.
    assert command(words) == 0
    with Image.open(tmp_path / "out.png") as found:
        np.testing.assert_array_equal(np.asarray(found), first)
    assert command([*words, "--seed", 3]) == 2
    assert "holds another transfer. Choose another folder" in capsys.readouterr().err
    assert command([*words[:-1], files[0].parent]) == 2
    assert "is not empty, and holds no transfer" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_is_trained_and_paints_at_any_size(files, tmp_path, capsys):
    data = ["--data", f"folder:{files[0].parent}"]
    words = ["train", files[1], "--body", "plain_cnn", "--smoke", *data, "--out", tmp_path / "run"]
    assert command(words) == 0
    assert "warning: plain_cnn has no weights" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").is_file()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["warning"]
    assert command(["transform", tmp_path / "run", files[0], files[2], "--out", tmp_path]) == 0
    for number, size in ((0, (30, 37)), (2, (50, 33))):
        with Image.open(tmp_path / f"{number}-styled.png") as found:
            assert found.size == size
    exported = tmp_path / "exported"
    assert command(["export", tmp_path / "run", "--to", "openvino", "--size", 52, "--out", exported]) == 0
    assert "read by openvino and compared on 2 examples" in capsys.readouterr().out
    picture = np.random.default_rng(9).integers(0, 256, (52, 52, 3), "uint8")
    painted = Predictor(exported)(picture[None])[0]
    own = johnson.transform(johnson.open_run(tmp_path / "run"), picture)
    np.testing.assert_allclose(painted.clip(0, 255), own, atol=0.6)  # which is rounded
    assert command(["export", tmp_path / "run", "--to", "openvino", "--size", 50, "--out", tmp_path / "other"]) == 2
    assert "size must be a multiple of 4, at least 48. Received: size=50" in capsys.readouterr().err
    # What was interrupted before its end goes on from its last checkpoint, and ends with the same weights.
    before = johnson.open_run(tmp_path / "run").get_weights()
    (tmp_path / "run" / johnson.MODEL).unlink()
    assert command(words) == 0
    after = johnson.open_run(tmp_path / "run").get_weights()
    assert all((one == other).all() for one, other in zip(before, after, strict=True))
    assert command([*words, "--seed", 3]) == 2
    assert "holds another training. Choose another folder" in capsys.readouterr().err


def test_johnsons_network_has_its_size_in_the_papers_form_too():
    model = johnson.network(padding="once", normalization="batch")
    assert zoo.count_params(model) == (1_679_235, 3_200)
    assert model.compute_output_shape((1, 64, 96, 3)) == (1, 64, 96, 3)


def test_reflection_is_that_of_numpy():
    x = np.arange(2 * 5 * 6 * 1, dtype="float32").reshape(2, 5, 6, 1)
    layer = johnson.Reflect.from_config(johnson.Reflect(3).get_config())
    np.testing.assert_array_equal(layer(x), np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect"))


def test_the_perceptual_loss_keeps_examples_apart(files):
    body = open_body("plain_cnn")
    style = np.random.default_rng(5).uniform(0, 255, (20, 24, 3)).astype("float32")
    loss = johnson.PerceptualLoss(body, style, FEED_FORWARD_SMOKE)
    rng = np.random.default_rng(0)
    true, painted = (tf.constant(rng.uniform(0, 255, (2, 16, 16, 3)), tf.float32) for _ in range(2))
    both = loss.call(true, painted).numpy()
    assert both.shape == (2,)
    for number in range(2):
        alone = loss.call(true[number : number + 1], painted[number : number + 1]).numpy()
        assert alone == pytest.approx(both[number : number + 1], rel=1e-4)
    only_style = dataclasses.replace(FEED_FORWARD_SMOKE, content_weight=0, variation_weight=0)
    own = tf.constant(style[None])
    assert johnson.PerceptualLoss(body, style, only_style).call(own, own).numpy() == pytest.approx(0, abs=1e-9)


def test_layers_of_a_body_are_the_papers():
    body = open_body("vgg19")
    assert body.style == tuple(f"stage{number}_relu1" for number in range(1, 6))  # conv1_1 to conv5_1
    assert body.content == ("stage4_relu2",)  # conv4_2
    assert not body.maps.trainable_variables
    assert "vgg19 has no weights" in body.warning


def test_average_pooling_keeps_the_weights():
    own, averaging = open_body("plain_cnn"), open_body("plain_cnn", pooling="average")
    averaging.maps.set_weights(own.maps.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype("float32")
    first, *_, last = own.style
    np.testing.assert_allclose(own(x)[first], averaging(x)[first], rtol=1e-6)
    assert abs(own(x)[last] - averaging(x)[last]).numpy().max() > 1e-4
    with pytest.raises(ValueError, match="pooling='average' replaces max-pooling, which 'resnet20' has not"):
        open_body("resnet20", pooling="average")
    with pytest.raises(ValueError, match="pooling must be 'max' or 'average'. Received: 'none'"):
        open_body("plain_cnn", pooling="none")


def test_saved_weights_are_a_body(tmp_path):
    model = zoo.create_model("plain_cnn", include_top=False, input_shape=(28, 28, 3))
    zoo.weights.save(model, tmp_path / "own")
    body = open_body(f"plain_cnn:{tmp_path / 'own'}")
    assert not body.warning
    x = np.random.default_rng(0).uniform(0, 255, (1, 28, 28, 3)).astype("float32")
    name = body.style[-1]
    np.testing.assert_allclose(body(x)[name], zoo.features(model, [name])(x / 255)[name], atol=1e-5)


@pytest.mark.slow
def test_a_run_is_a_body(tmp_path):
    words = ["train", "plain_cnn", "--data", "digits", "--epochs", "1", "--batch-size", "256", "--out", tmp_path / "r"]
    assert cli.main(list(map(str, words))) == 0
    body = open_body(str(tmp_path / "r"))
    assert "was trained on grey pictures" in body.warning
    run = zoo.runs.open_run(tmp_path / "r")
    size = run.model.input_shape[1]
    grey = np.random.default_rng(0).integers(0, 256, (1, size, size, 1)).astype("float32")
    low, high = run.config["data"]["value_range"]
    expected = zoo.features(run.model, [body.style[-1]])(grey * (high - low) / 255 + low)[body.style[-1]]
    np.testing.assert_allclose(body(np.repeat(grey, 3, 3))[body.style[-1]], expected, atol=1e-4)


def test_bad_input_is_refused_in_one_line(files, tmp_path, capsys):
    body = ["--body", "plain_cnn", "--smoke"]
    for words, message in (
        ([tmp_path / "no.png", files[0], *body], "no.png cannot be used"),
        ([*files[:2], *body, "--out", tmp_path / "nowhere" / "x.png"], "--out must lie in a folder that is there"),
        ([*files[:2], "--body", "go_policy_128"], "A body sees pictures. Received: 'go_policy_128'"),
        ([*files[:2], "--body", "vgg20"], "Did you mean"),
        ([*files[:2], *body, "--style-layers", "layer1_rel"], "plain_cnn has no layer 'layer1_rel'. Did you mean"),
        ([*files[:2], *body, "--solver", "sgd"], "solver must be one of lbfgs, adam. Received: 'sgd'"),
        (["transform", tmp_path, files[0]], "holds no finished training of `zoo style train`"),
        (["transform", tmp_path, files[0], "--out", tmp_path / "x"], "--out must be a folder that is there"),
        (["transform", tmp_path, files[0], files[0], "--out", tmp_path], "Pictures must differ in name"),
        (["train", files[0], *body, "--data", "mnist", "--out", tmp_path / "x"], "Sources are photographs and folder"),
        (["train", files[0], *body, "--data", f"folder:{tmp_path}", "--out", tmp_path / "x"], "There are no pictures"),
    ):
        assert command(words) == 2
        assert message in capsys.readouterr().err
    for kind, change, message in (
        (Transfer, {"start": "grey"}, "start must be one of content, noise, style. Received: 'grey'"),
        (Transfer, {"iterations": 0}, "iterations must be at least 1. Received: 0"),
        (Transfer, {"style_weight": -1}, "style_weight must be 0 or more. Received: -1"),
        (FeedForward, {"padding": "zeros"}, "padding must be one of each, once. Received: 'zeros'"),
        (FeedForward, {"normalization": "layer"}, "normalization must be one of instance, batch. Received: 'layer'"),
        (FeedForward, {"size": 30}, "size must be a multiple of 4. Received: 30"),
        (FeedForward, {"epochs": 0}, "epochs must be at least 1. Received: 0"),
    ):
        with pytest.raises(ValueError, match=message):
            kind(**change)

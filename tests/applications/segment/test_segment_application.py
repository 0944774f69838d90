"""Segmentation from scenes to scores, and by the command line."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from applications.segment import baseline, learning, networks, scenes, scores
from applications.segment.commands import add
from applications.segment.config import SMOKE, Segmentation
from zoo import cli, runs
from zoo.deploy import Predictor


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("skimage.data", reason="the textures come with the extra `vision`")
    return scenes.load("digits", "train", count=40)


def test_scenes_show_what_their_masks_say(made):
    assert made.pictures.shape == (40, 32, 32, 1)
    assert made.masks.shape == (40, 32, 32)
    again = scenes.load("digits", "train", count=40)
    np.testing.assert_array_equal(again.pictures, made.pictures)
    other = scenes.load("digits", "validation", count=40)
    assert (other.pictures != made.pictures).any()
    assert set(np.unique(made.masks)) <= set(range(11))
    assert all(0 < (mask > 0).sum() < 400 for mask in made.masks)
    # Ink is far from the texture around it.
    ink = [abs(picture[mask > 0].mean() - picture[mask == 0].mean()) for picture, mask in zip(*pair(made), strict=True)]
    assert np.mean(ink) > 40


def command(words):
    return cli.main(words, add=[add])


def pair(part):
    return part.pictures[..., 0].astype(float), part.masks


def test_no_digit_is_in_two_splits():
    kept = [{picture.tobytes() for picture in scenes._digits(split)[0]} for split in scenes.SPLITS]
    assert [len(one) for one in kept] == [1078, 360, 359]
    assert not kept[0] & kept[1] and not kept[0] & kept[2] and not kept[1] & kept[2]  # noqa: PT018


def test_scores_by_hand():
    truth = np.zeros((1, 4, 4), "uint8")
    truth[0, :, 2:] = 1
    answers = truth.copy()
    answers[0, 0, 1] = 1
    truth[0, 3, 3] = scenes.IGNORED
    answers[0, 3, 3] = 2
    found = scores.score(truth, answers, 3)
    assert found.iou[:2] == pytest.approx((7 / 8, 7 / 8))
    assert np.isnan(found.iou[2])
    assert found.mean_iou == pytest.approx(7 / 8)
    assert found.pixel_accuracy == pytest.approx(14 / 15)
    assert found.boundary_iou <= found.mean_iou


def test_borders_are_where_classes_meet():
    mask = np.zeros((5, 6), int)
    mask[:, 3:] = 1
    assert scores.near_borders(mask, 1)[0].tolist() == [False, False, True, True, False, False]


def test_loss_leaves_out_what_is_ignored_and_weighs_the_foreground():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    labels = rng.integers(0, 4, (2, 3, 3)).astype("uint8")
    labels[0, 0] = scenes.IGNORED
    found = np.asarray(learning.PixelCrossEntropy(4.0).call(labels, logits)).mean((1, 2))
    for picture in range(2):
        known = labels[picture] != scenes.IGNORED
        chance = np.exp(logits[picture]) / np.exp(logits[picture]).sum(-1, keepdims=True)
        each = -np.log([p[label] for p, label in zip(chance[known], labels[picture][known], strict=True)])
        weights = np.where(labels[picture][known] > 0, 4.0, 1.0)
        assert found[picture] == pytest.approx((each * weights).sum() / weights.sum(), rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(learning.PixelCrossEntropy(2.0)))
    assert again.foreground == 2.0


def test_otsu_is_that_of_scikit_image():
    filters = pytest.importorskip("skimage.filters", reason="it comes with the extra `vision`")
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(60, 10, 500), rng.normal(180, 20, 200)]).clip(0, 255).astype("uint8")
    assert baseline.otsu(values) == filters.threshold_otsu(values)


def test_the_baseline_finds_digits(made):
    known = scenes.load("digits", "train", count=300)
    found = scores.score(made.masks, baseline.Baseline(known)(made.pictures), 11)
    assert found.mean_iou > 0.3


@pytest.mark.slow
def test_a_run_trains_ends_and_draws(tmp_path, capsys, made):
    folder = tmp_path / "run"
    assert command(["segment", "train", "--smoke", "--out", str(folder)]) == 0
    *_, scores, page = capsys.readouterr().out.splitlines()
    assert scores.startswith("mean IoU")
    told = Path(page).read_text(encoding="utf-8")
    assert f"<td>{json.loads((folder / learning.RESULT).read_text())['mean_iou']:.3f}</td>" in told
    # Test pictures, and the curves in light and in dark.
    assert told.count("data:image/png;base64,") == 3
    assert command(["segment", "evaluate", str(folder)]) == 0
    assert "threshold, components and SVM: mean IoU" in capsys.readouterr().out
    Image.fromarray(np.zeros((37, 45), "uint8")).save(tmp_path / "picture.png")
    out = tmp_path / "drawn.png"
    assert command(["segment", "predict", str(folder), str(tmp_path / "picture.png"), "--out", str(out)]) == 0
    with Image.open(out) as drawn:
        assert drawn.size == (900, 450)
    assert (
        command(["segment", "export", str(folder), "--to", "onnx", "--size", "37", "--out", str(tmp_path / "onnx")])
        == 0
    )
    assert "read by onnxruntime and compared on 16 examples" in capsys.readouterr().out
    pictures = np.random.default_rng(0).integers(0, 256, (3, 37, 37, 1), "uint8")
    logits = Predictor(tmp_path / "onnx", batch_sizes=(3,))(pictures)
    assert logits.shape == (3, 37, 37, 11)
    model, config, _, _ = learning.open_run(folder)
    assert (logits.argmax(-1) == learning.answers(model, config, pictures)).mean() > 0.999
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert command(["segment", "predict", str(folder), str(tmp_path / "broken.png")]) == 2
    assert "broken.png cannot be used: it is no picture of a known format" in capsys.readouterr().err
    # Trained once more it goes on from its last checkpoint, and ends with the same scores.
    before = json.loads((folder / learning.RESULT).read_text())
    _, found = learning.train(SMOKE, folder)
    assert found.mean_iou == pytest.approx(before["mean_iou"])
    with pytest.raises(ValueError, match="holds another training"):
        learning.train(dataclasses.replace(SMOKE, seed=3), folder)


@pytest.mark.slow
def test_a_short_training_learns_classes(made):
    config = Segmentation(count=1200, epochs=10)
    _, found = learning.train(config)
    assert found.mean_iou > 0.35, found


def write_pairs(folder, masks, classes=("sky", "tree")):
    for split in scenes.SPLITS:
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for number, mask in enumerate(masks):
            picture = np.random.default_rng(number).integers(0, 255, (*mask.shape, 3), "uint8")
            Image.fromarray(picture).save(folder / split / "images" / f"{number}.jpg")
            Image.fromarray(mask).save(folder / split / "masks" / f"{number}.png")
    (folder / "classes.txt").write_text("\n".join(classes))


def test_a_folder_of_pictures_and_masks(tmp_path):
    mask = np.zeros((20, 30), "uint8")
    mask[5:, 10:] = 1
    mask[0] = scenes.IGNORED
    write_pairs(tmp_path, [mask, mask])
    found = scenes.load(f"folder:{tmp_path}", "validation")
    assert found.classes == ("sky", "tree")
    np.testing.assert_array_equal(found.masks, [mask, mask])
    assert scenes.load(f"folder:{tmp_path}", "test", size=16).pictures.shape == (2, 16, 16, 3)


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="classes.txt must name the classes, one a line; it is not there"):
        scenes.load(f"folder:{tmp_path}", "train")
    write_pairs(tmp_path, [np.full((8, 8), 2, "uint8")])
    with pytest.raises(ValueError, match=r"0.png has the class 2, and there are 2, from 0"):
        scenes.load(f"folder:{tmp_path}", "train")
    (tmp_path / "train" / "masks" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"0.jpg has no mask: .*0.png is not there"):
        scenes.load(f"folder:{tmp_path}", "train")
    with pytest.raises(
        ValueError, match="Sources are digits, folder:PATH, voc:PATH and tfds:oxford_iiit_pet. Received"
    ):
        scenes.load("mnist", "train")
    with pytest.raises(ValueError, match="split must be one of train, validation, test. Received: 'dev'"):
        scenes.load("digits", "dev")


def test_a_folder_of_pascal_voc(tmp_path):
    names = [f"2007_{number:06d}" for number in range(20)]
    for kind in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / kind).mkdir(parents=True)
    for name in names:
        Image.fromarray(np.zeros((12, 10, 3), "uint8")).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(np.full((12, 10), 15, "uint8"), mode="P")
        mask.putpalette([0] * 768)
        mask.save(tmp_path / "SegmentationClass" / f"{name}.png")
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(names))
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text(names[0])
    source = f"voc:{tmp_path}"
    assert [len(scenes.load(source, split)) for split in scenes.SPLITS] == [18, 2, 1]
    found = scenes.load(source, "test")
    assert found.classes[found.masks[0, 0, 0]] == "person"
    with pytest.raises(ValueError, match="is no folder of PASCAL VOC"):
        scenes.load(f"voc:{tmp_path / 'JPEGImages'}", "train")


def test_pets_are_the_foreground(monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets", reason="it comes with the extra `data`")
    numbers = np.array([[1, 2], [3, 2]], "uint8").repeat(4, 0).repeat(4, 1)  # pet, background, border
    asked = []

    def load(name, split):
        asked.append((name, split))
        example = {"image": tf.zeros((8, 8, 3), tf.uint8), "segmentation_mask": tf.constant(numbers[..., None])}
        return [example] * 3

    monkeypatch.setattr(tfds, "load", load)
    found = scenes.load("tfds:oxford_iiit_pet", "validation", size=4, count=2)
    assert asked == [("oxford_iiit_pet", "train[90%:]")]
    assert (found.pictures.shape, found.masks.shape) == ((2, 4, 4, 3), (2, 4, 4))
    names = [found.classes[label] for label in found.masks[1, ::2, ::2].ravel()]
    assert names == ["pet", "background", "border", "background"]
    assert found.classes[0] == "background"


def seen_by_the_body(config, pixels, monkeypatch):
    """What the body of a training gives of pixels, scaled as batches are."""
    with monkeypatch.context() as patch:
        patch.setattr(networks, "fcn", lambda body, classes, **options: body)
        body = learning.build(config, pixels.shape[-1], 3)
    low, high = learning.value_range(config)
    return np.asarray(body(pixels.astype("float32") * ((high - low) / 255) + low))


def test_published_weights_see_pictures_as_they_did_before(tmp_path, monkeypatch):
    """Random ones that say where they come from stand in for those that a download would bring."""
    zoo.weights.save(zoo.create_model("squeezenet1_1"), tmp_path, weights="squeezenet1_1:torchvision")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), "uint8")
    body = zoo.create_model("squeezenet1_1", weights=tmp_path, include_top=False)
    expected = body(zoo.preprocessor("squeezenet1_1", "torchvision").layer()(pixels))
    config = Segmentation(body="squeezenet1_1", weights=str(tmp_path))
    np.testing.assert_allclose(seen_by_the_body(config, pixels, monkeypatch), expected, rtol=1e-4, atol=1e-4)


def test_the_weights_of_a_run_see_pictures_as_they_did_before(tmp_path, monkeypatch):
    settings = runs.Settings(
        model="plain_cnn", data="digits?classes=0,1&per_class=8", normalization="standardised", epochs=1,
        knobs={"rows": (("conv", 8, 3), ("batch_norm",), ("max_pool",), ("conv", 8, 3))},
    )  # fmt: skip
    run = runs.train(settings, tmp_path / "run", test=False)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), "uint8")
    low, high = run.config["data"]["value_range"]
    features = zoo.features(run.model, ["stride2"])
    expected = features(pixels * np.float32((high - low) / 255) + low)["stride2"]
    # The knobs are the run's too.
    config = Segmentation(body="plain_cnn", weights=str(run.folder), levels=("stride2", "stride1"))
    np.testing.assert_allclose(seen_by_the_body(config, pixels, monkeypatch), expected, rtol=1e-4, atol=1e-4)
    model = learning.build(config, 1, 3)
    model.save(tmp_path / "model.keras")
    answers = learning.answers(model, config, pixels)
    run.folder.rename(tmp_path / "elsewhere")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(learning.answers(again, config, pixels), answers)


def test_weights_of_no_run_see_pictures_as_the_card_says(tmp_path, monkeypatch):
    zoo.weights.save(zoo.create_model("plain_cnn", include_top=False), tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), "uint8")
    plain = Segmentation(body="plain_cnn")
    saved = dataclasses.replace(plain, weights=str(tmp_path))
    low, high = learning.value_range(plain)
    expected = zoo.create_model("plain_cnn", include_top=False, weights=tmp_path)(
        pixels * np.float32((high - low) / 255) + low
    )
    np.testing.assert_allclose(seen_by_the_body(saved, pixels, monkeypatch), expected, rtol=1e-4, atol=1e-4)
    assert learning.value_range(dataclasses.replace(saved, network="unet")) == (-1.0, 1.0)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="network must be one of fcn, unet, unet_over, deeplab_v3. Received: 'segnet'"):
        Segmentation(network="segnet")
    with pytest.raises(ValueError, match="A body sees pictures. Received: 'go_policy_128'"):
        learning.build(Segmentation(body="go_policy_128"), 1, 3)


def test_a_search_begins_with_the_training_given(tmp_path, made, monkeypatch, capsys):
    pytest.importorskip("keras_tuner", reason="it comes with the extra `tune`")
    from applications.segment import search

    tried = []

    def train(config, folder):
        tried.append(config)
        return None, None

    def evaluate(model, config, part):
        return dataclasses.replace(scores.Scores((), 0.0, 0.0, 0.0), mean_iou=1 / (1 + abs(config.foreground - 3)))

    monkeypatch.setattr(learning, "train", train)
    monkeypatch.setattr(learning, "evaluate", evaluate)
    base = Segmentation(count=64)
    best, score = search.search(base, tmp_path, trials=6, tell=lambda line: None)
    assert tried[0] == base
    assert len(tried) == 6
    assert best in tried
    assert abs(best.foreground - 3) == min(abs(config.foreground - 3) for config in tried)
    assert score == pytest.approx(1 / (1 + abs(best.foreground - 3)))
    assert {len(config.levels) for config in tried} <= {1, 2, 3}
    assert search.search(base, tmp_path, trials=6, tell=lambda line: None)[1] == score
    assert len(tried) == 6  # what is known is not trained again
    with pytest.raises(ValueError, match="trials must be at least 1. Received: trials=0"):
        search.search(base, tmp_path, trials=0)
    for change in ({"batch_size": 64}, {"epochs": 2}, {"data": "folder:scenes"}):
        with pytest.raises(ValueError, match=f"holds another search: base.json has .'{next(iter(change))}': "):
            search.search(dataclasses.replace(base, **change), tmp_path, trials=6)
    with pytest.raises(ValueError, match="is about fcn and unet_over, over a body. Received: 'unet'"):
        search.search(Segmentation(network="unet"), tmp_path)


@pytest.mark.slow
def test_networks_are_compared_once(tmp_path, made, capsys):
    words = ["segment", "compare", "--smoke", "--networks", "FCN-32s,FCN-8s", "--seeds", "1", "--out", str(tmp_path)]
    assert command(words) == 0
    first = capsys.readouterr().out
    assert "| FCN-32s | " in first
    assert "| threshold, components, SVM | " in first
    with Image.open(tmp_path / "overlays.png") as drawn:
        assert drawn.size[0] > 600
    assert command(words) == 0
    assert capsys.readouterr().out.splitlines()[-6:] == first.splitlines()[-6:]
    assert command([*words, "--levels", "stride4"]) == 2
    assert "FCN-32s, 16s and 8s take three levels. Received: levels=['stride4']" in capsys.readouterr().err
    assert command([*words[:3], "--networks", "FCN-64s", "--out", str(tmp_path)]) == 2
    assert "Networks are FCN-32s, FCN-16s, FCN-8s, U-Net over the body, DeepLab v3" in capsys.readouterr().err

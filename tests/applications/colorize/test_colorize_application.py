"""Colorization from pictures to scores, and by the command line."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from applications.colorize import gamut, learning, networks, pictures, scores, space
from applications.colorize.commands import add
from applications.colorize.config import DEFAULT, SMOKE, Colorization
from zoo import cli
from zoo.data import crops
from zoo.deploy import Predictor

TINY = dataclasses.replace(
    SMOKE, body="plain_cnn", levels=("stride4", "stride2"), count=16, size=16, batch_size=8, filters=4
)


def command(words):
    return cli.main(["colorize", *map(str, words)], add=[add])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colorize") / "run"
    options = ["--body", "plain_cnn", "--count", 16, "--size", 16, "--batch-size", 8, "--filters", 4]
    assert command(["train", "--smoke", *options, "--out", folder]) == 0
    return folder


def test_an_exported_run_colours_alike(run, tmp_path, capsys):
    assert command(["export", run, "--to", "litert", "--out", tmp_path / "out"]) == 0
    assert "read by litert and compared on 8 examples" in capsys.readouterr().out
    model, config = learning.open_run(run)
    colourist, predictor = learning.Colourist(model, config), Predictor(tmp_path / "out")
    part = pictures.load(config.data, "validation", count=4, size=config.size, shorter_side=None, seed=1)
    for number in range(4):
        picture = part.read(number)
        found = predictor(picture[None])[0]
        np.testing.assert_allclose(found, colourist.colour(picture), atol=0.6)  # which is rounded
    assert command(["export", run, "--to", "onnx", "--size", 18, "--out", tmp_path / "other"]) == 2
    assert "size must be a multiple of the coarsest stride, 4. Received: size=18" in capsys.readouterr().err
    assert command(["export", run, "--to", "onnx", "--out", tmp_path / "out"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_run_trains_scores_and_goes_on(run, capsys):
    found = json.loads((run / "scores.json").read_text())["test"]
    assert [row["name"] for row in found[:3]] == ["grey", "mean colour of the lightness", "run, T = 1"]
    assert found[0]["chroma"] == 0
    assert (run / "report.html").read_text().count("<img") >= 2
    before = [np.array(weight) for weight in learning.open_run(run)[0].get_weights()]
    (run / learning.MODEL).unlink()
    with pytest.raises(ValueError, match="holds no finished training of `zoo colorize train`: model.keras is not"):
        learning.open_run(run)
    # What was interrupted before its end goes on from its last checkpoint, and ends with the same weights.
    after = learning.train(TINY, run).get_weights()
    assert all((one == other).all() for one, other in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="holds another training. Choose another folder"):
        learning.train(dataclasses.replace(TINY, seed=3), run)
    with pytest.raises(ValueError, match="is not empty, and holds no training of this kind"):
        learning.train(TINY, run / "checkpoints")
    with pytest.raises(ValueError, match="size must be a multiple of the coarsest stride, 4. Received: size=18"):
        learning.train(dataclasses.replace(TINY, size=18), run.with_name("other"))


def test_pictures_are_coloured_at_their_own_size(run, tmp_path, capsys):
    grey = np.random.default_rng(0).integers(0, 256, (37, 45), "uint8")
    Image.fromarray(grey).save(tmp_path / "one.png")
    Image.fromarray(np.repeat(grey[:20, :30, None], 3, 2)).save(tmp_path / "two.png")
    assert command([run, tmp_path / "one.png", tmp_path / "two.png", "--out", tmp_path, "--shorter-side", 16]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{name}-colorized.png") for name in ("one", "two")]
    with Image.open(tmp_path / "one-colorized.png") as found:
        assert (found.size, found.mode) == ((45, 37), "RGB")
    # The lightness stays: a mild change of colour moves no pixel out of what a screen can show.
    model, config = learning.open_run(run)
    colourist = learning.Colourist(model, config)
    lightness = learning.lightness_of(np.full((37, 45, 1), 128, np.uint8))
    ab = colourist.colours(colourist.scores(lightness), lightness.shape, 1.0)
    assert ab.shape == (37, 45, 2)
    shown = learning.with_colours(lightness, np.clip(ab, -20, 20))
    np.testing.assert_allclose(learning.lightness_of(shown), lightness, atol=0.5)


def test_runs_are_compared(run, tmp_path, capsys):
    assert command(["evaluate", run, run, "--temperatures", "1,0", "--sheet", tmp_path / "sheet.png"]) == 0
    assert "| run, T = 0 |" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 800


def test_bad_input_is_refused_in_one_line(run, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert command([run, tmp_path / "broken.png", "--out", tmp_path]) == 2
    assert "broken.png cannot be used: it is no picture of a known format" in capsys.readouterr().err
    assert command([run, tmp_path / "broken.png", "--out", tmp_path / "nowhere"]) == 2
    assert "--out must be a folder that is there" in capsys.readouterr().err
    assert command([run, tmp_path / "a.png", tmp_path / "b" / "a.png", "--out", tmp_path]) == 2
    assert "Pictures must differ in name" in capsys.readouterr().err
    assert command([tmp_path, tmp_path / "broken.png"]) == 2
    assert "holds no finished training" in capsys.readouterr().err
    assert command(["train", "--knob", "stem", "--out", tmp_path / "x"]) == 2
    assert "--knob takes NAME=VALUE. Received: 'stem'" in capsys.readouterr().err
    for change, message in (
        ({"target": "hsv"}, "target must be one of classes, l2. Received: 'hsv'"),
        ({"mixing": 0}, "mixing must be above 0 and at most 1. Received: 0"),
        ({"temperature": 0}, "temperature must be above 0. Received: 0"),
        ({"epochs": 0}, "epochs must be at least 1. Received: 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Colorization(**change)
    with pytest.raises(ValueError, match="A body sees pictures. Received: 'go_policy_128'"):
        learning.build(Colorization(body="go_policy_128"))


def test_the_papers_network_has_its_size():
    model = networks.zhang2016(temperature=0.38)
    assert zoo.count_params(model) == (32_235_385, 4_992 + 2 * 313)
    assert model.count_params() == 32_241_003
    assert model.compute_output_shape((1, 64, 96, 1)) == (1, 16, 24, 2)
    assert zoo.receptive_field(networks.zhang2016(width=1 / 64), "conv7_3").stride == (8, 8)
    assert networks.zhang2016("l2", width=1 / 64).output_shape[-1] == 2


def test_the_fixed_colours_are_the_annealed_mean():
    logits = np.random.default_rng(0).normal(0, 3, (2, 3, 4, gamut.NUM_BINS)).astype("float32")
    layer = networks.AnnealedMean(0.38)
    np.testing.assert_allclose(layer(logits), gamut.annealed_mean(logits, 0.38), atol=1e-3)
    assert networks.AnnealedMean.from_config(layer.get_config()).temperature == 0.38
    with pytest.raises(ValueError, match="temperature must be above 0"):
        networks.AnnealedMean(0)


def test_heads_fit_bodies_of_three_channels_and_refuse_wrong_levels():
    body = zoo.create_model("plain_cnn", include_top=False, input_shape=(None, None, 3))
    model = networks.over_body(body, levels=("stride4",), enlarged=2, filters=4)
    assert model(np.zeros((1, 16, 24, 1), "float32")).shape == (1, 8, 12, 313)
    with pytest.raises(ValueError, match="levels go from the coarsest to finer feature maps"):
        networks.over_body(body, levels=("stride2", "stride4"))
    cut = zoo.create_model("simple_cnn", include_top=False, input_shape=(None, None, 1))
    with pytest.raises(ValueError, match=r"'stride4' must have a place for each 4x4 pixels, .* Received: 'simple_cnn'"):
        networks.over_body(cut, levels=("stride4",))
    with pytest.raises(ValueError, match="enlarged must divide the finest stride, 4. Received: enlarged=3"):
        networks.over_body(body, levels=("stride4",), enlarged=3)
    with pytest.raises(ValueError, match="target must be one of classes, l2. Received: 'hsv'"):
        networks.over_body(body, "hsv", levels=("stride4",))


def test_losses_by_hand():
    rng = np.random.default_rng(0)
    ab = np.repeat(np.repeat(rng.uniform(-60, 60, (2, 3, 4, 2)), 2, 1), 2, 2).astype("float32")
    logits = rng.normal(size=(2, 3, 4, gamut.NUM_BINS)).astype("float32")
    weights = rng.uniform(0.5, 2, gamut.NUM_BINS)
    small = ab[:, ::2, ::2]
    shares = gamut.encode(small).numpy()
    entropy = -(shares * np.asarray(keras.ops.log_softmax(logits))).sum(-1)
    np.testing.assert_allclose(learning.SoftEncodingCrossEntropy().call(ab, logits), entropy, rtol=1e-4)
    loss = learning.SoftEncodingCrossEntropy(weights)
    expected = entropy * weights[shares.argmax(-1)]
    np.testing.assert_allclose(loss.call(ab, logits), expected, rtol=1e-4)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.weights == pytest.approx(weights)
    answers = rng.uniform(-60, 60, (2, 3, 4, 2)).astype("float32")
    expected = ((answers - small) ** 2).sum(-1) / 2 / 110**2
    np.testing.assert_allclose(learning.ColourDistance().call(ab, answers), expected, rtol=1e-4)


def test_shapes_have_the_colours_of_their_kind_and_one_lightness():
    part = pictures.shapes("train", 40, size=32)
    for number, (_, lightness, ab) in enumerate(learning.parts_of(part)):
        kinds = part.kinds[number]
        for kind, colours in enumerate(pictures.COLOURS, 1):
            own = ab[kinds == kind]
            assert np.linalg.norm(own[:, None] - np.array(colours)[None], axis=-1).min(1, initial=9).max(initial=0) < 6
            assert abs(lightness[kinds == kind] - pictures.LIGHTNESS).max(initial=0) < 12
        assert np.linalg.norm(ab[kinds == 0], axis=-1).max() < 1
    again = pictures.shapes("train", 40, size=32)
    assert all((again.read(number) == part.read(number)).all() for number in range(40))
    assert (pictures.shapes("test", 1).read(0) != part.read(0)).any()
    with pytest.raises(ValueError, match="Pictures of shapes have at least 16 pixels a side. Received: size=8"):
        pictures.shapes("train", 1, size=8)


def test_scores_by_hand():
    part = pictures.Pictures(("one / a", "two / b"), lambda number: np.full((2, 2, 3), (255, 0, 0), np.uint8))
    rows = scores.table(part, part, [], only="a")
    assert [row.name for row in rows] == ["grey", "mean colour of the lightness"]
    red = np.hypot(80.09, 67.20)
    assert rows[0].rmse == pytest.approx(red, abs=0.01)
    assert rows[0].accuracy == pytest.approx((150 - 104) / 151)
    assert rows[1].rmse == pytest.approx(0, abs=1e-3)
    assert (rows[0].chroma, rows[1].chroma) == (0, pytest.approx(1, abs=1e-4))
    assert rows[0].chroma_of is None
    text = scores.markdown(rows)
    assert text.splitlines()[2] == "| grey | 104.6 | 0.00 | 0.305 |"


def test_folders_are_parted(tmp_path):
    for number in range(10):
        Image.fromarray(np.full((30, 20, 3), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
    source = f"folder:{tmp_path}"
    assert [sorted(pictures.load(source, split).names) for split in pictures.SPLITS] == [
        [f"{number}.png" for number in range(8)], ["8.png"], ["9.png"],
    ]  # fmt: skip
    part = pictures.load(source, "train", count=2, shorter_side=10)
    assert len(part) == 2
    assert part.read(1).shape == (15, 10, 3)
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match=r"There are no pictures for the split 'test' in .*test|is no folder"):
        pictures.load(source, "test")
    with pytest.raises(ValueError, match="Sources are shapes, photographs and folder:PATH. Received: 'mnist'"):
        pictures.load("mnist", "train")
    with pytest.raises(ValueError, match="split must be one of train, validation, test. Received: 'dev'"):
        pictures.load("shapes", "dev")


def test_the_first_pictures_of_a_folder_stand_for_all(tmp_path, monkeypatch):
    colours = np.array([(200, 40, 40), (40, 40, 200)], np.uint8)
    for kind, colour in zip("ab", colours, strict=True):
        (tmp_path / "train" / kind).mkdir(parents=True)
        for number in range(20):
            whole = np.broadcast_to(colour, (16, 16, 3))
            Image.fromarray(np.ascontiguousarray(whole)).save(tmp_path / "train" / kind / f"{number}.png")
    source = f"folder:{tmp_path}"
    part = pictures.load(source, "train")
    assert {name[0] for name in part.names[:10]} == {"a", "b"}
    assert sorted(part.names) == sorted(f"{kind}/{number}.png" for kind in "ab" for number in range(20))
    assert pictures.load(source, "train").names == part.names != pictures.load(source, "train", seed=1).names
    assert pictures.load(source, "train", count=10).names == part.names[:10]
    monkeypatch.setattr(learning, "_COUNTED", 8 * 16**2)
    prior = learning.prior_of(part, dataclasses.replace(TINY, data=source))
    lab = learning.rgb_to_lab(colours.astype(np.float32) / 255).numpy()
    shares = [prior[share > 0].sum() for share in gamut.encode(lab[:, 1:]).numpy()]
    assert min(shares) > 0.1
    assert sum(shares) == pytest.approx(1)
    np.testing.assert_allclose(scores.MeanOfLightness(part, most=10)(lab[:, 0]), lab[:, 1:], atol=0.1)


def test_published_weights_see_lightness_as_pixels(tmp_path, monkeypatch):
    """Random ones that say where they come from stand in for those that a download would bring."""
    zoo.weights.save(zoo.create_model("squeezenet1_1"), tmp_path, weights="squeezenet1_1:torchvision")
    config = Colorization(body="squeezenet1_1", weights=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(networks, "over_body", lambda body, target, **options: body)
        body = learning.build(config)
    part = pictures.shapes("train", 2, size=64)
    (given, _), *_ = learning.batches_of(part, dataclasses.replace(config, size=64)).epoch()
    pixels = np.stack([lightness for _, lightness, _ in learning.parts_of(part)])[..., None] * 2.55
    plain = zoo.create_model("squeezenet1_1", weights=tmp_path, include_top=False, input_shape=(None, None, 1))
    expected = plain(zoo.preprocessor("squeezenet1_1", "torchvision").grey().layer()(pixels))
    np.testing.assert_allclose(body(given), expected, rtol=1e-3, atol=1e-3)
    assert learning.value_range(dataclasses.replace(config, network="zhang2016")) == (-0.5, 0.5)


def test_photographs_are_parted_without_overlap():
    pytest.importorskip("skimage.data", reason="they come with the extra `vision`")
    parts = [pictures.load("photographs", split, shorter_side=64) for split in pictures.SPLITS]
    names = [name.partition(" ")[0] for name in parts[0].names]
    for number, name in enumerate(names):
        widths = [part.read(number).shape[1] for part in parts]
        assert sum(widths) == crops.reduced(crops.photograph(name), 64).shape[1]
    assert [pictures.group(name) for name in parts[2].names] == ["known"] * len(names) + ["unknown"] * 2


def test_the_space_begins_with_the_defaults():
    pytest.importorskip("keras_tuner", reason="it comes with the extra `tune`")
    assert dataclasses.replace(DEFAULT, **space.draw(DEFAULT, 0)) == DEFAULT
    drawn = [space.draw(DEFAULT, number) for number in range(1, 9)]
    assert drawn == [space.draw(DEFAULT, number) for number in range(1, 9)]
    assert len({fields["learning_rate"] for fields in drawn}) == 8
    assert "mixing" not in space.draw(dataclasses.replace(DEFAULT, target="l2"), 1)
    with pytest.raises(ValueError, match="trials must be at least 1. Received: trials=0"):
        space.search(TINY, "nowhere", trials=0)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was(tmp_path, capsys):
    pytest.importorskip("keras_tuner", reason="it comes with the extra `tune`")
    options = ["--smoke", "--body", "plain_cnn", "--count", 16, "--size", 16, "--out", tmp_path / "search"]
    assert command(["tune", *options, "--trials", 2]) == 0
    first = capsys.readouterr().out.splitlines()
    assert len(first) == 3
    assert command(["tune", *options, "--trials", 2]) == 0
    assert capsys.readouterr().out.splitlines() == first
    assert json.loads((tmp_path / "search" / "best.json").read_text())["accuracy"] > 0

"""Captions from scenes to sentences, and by the command line."""

import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from applications.caption import baselines, comparing, exporting, learning, scenes, space, vocabulary
from applications.caption.commands import add
from applications.caption.config import DEFAULT, SMOKE
from zoo import cli


def command(*words):
    return cli.main(["caption", *map(str, words)], add=[add])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("sacrebleu", reason="it comes with the extra `caption`")
    found = tmp_path_factory.mktemp("captions") / "run"
    assert command("train", "--smoke", "--network", "transformer", "--out", found) == 0
    return found


def test_sentences_are_true_of_their_scenes():
    part = scenes.load("digits", "train", count=60)
    assert part.pictures.shape == (60, 40, 40, 1)
    again = scenes.load("digits", "train", count=60)
    np.testing.assert_array_equal(again.pictures, part.pictures)
    assert again.captions == part.captions
    assert (scenes.load("digits", "test", count=60).pictures != part.pictures).any()
    assert set(map(len, part.captions)) == {3}
    for picture, texts in zip(part.pictures[..., 0].astype(float), part.captions, strict=True):
        rows, columns = np.nonzero(picture > np.median(picture) + 50)
        extents = {"row": np.ptp(rows), "column": np.ptp(columns)}
        count = sum(number in texts[0].split() for number in scenes.NUMBERS)
        if "top" in texts[0] and "bottom" in texts[0]:
            assert extents["row"] > extents["column"], texts
        if "at the" in texts[0]:
            assert count == 1
            assert ("top" in texts[0]) == (rows.mean() < 20), texts
            assert ("left" in texts[0]) == (columns.mean() < 20), texts
            assert (max(extents.values()) > 9) == ("large" in texts[0]), texts


def test_sentences_of_columns_and_corners():
    names = ["a large one", "a small two", "a large three"]
    assert scenes.sentences(names[:1], low=True)[0] == "a large one at the bottom left"
    assert scenes.sentences(names[:2], vertical=True)[1] == "a small two is below a large one"
    assert scenes.sentences(names, vertical=True)[1] == "a large three, a small two and a large one from bottom to top"


def test_no_digit_is_in_two_splits():
    kept = [{picture.tobytes() for picture in scenes._digits(split)[0]} for split in scenes.SPLITS]
    assert [len(one) for one in kept] == [1078, 360, 359]
    assert not kept[0] & kept[1] and not kept[0] & kept[2] and not kept[1] & kept[2]  # noqa: PT018


def test_an_epoch_has_each_picture_once_with_one_of_its_sentences():
    part = scenes.load("digits", "train", count=70)
    words = vocabulary.fit([text for texts in part.captions for text in texts], max_words=100, max_length=30)
    batches = learning.Batches(part, words, SMOKE, shuffled=True)
    assert len(batches) == 3

    def visited(epoch, start=0):
        return [
            (picture.tobytes(), words.text(sentence))
            for inputs, said in batches.epoch(epoch, start).as_numpy_iterator()
            for picture, sentence in zip(inputs["picture"].astype("uint8"), said, strict=True)
        ]

    known = {picture.tobytes(): texts for picture, texts in zip(part.pictures, part.captions, strict=True)}
    first = visited(0)
    assert sorted(picture for picture, _ in first) == sorted(known)
    assert all(text in [told.replace(",", "") for told in known[picture]] for picture, text in first)
    assert visited(0, start=1) == first[32:]
    assert dict(visited(1)) != dict(first)


def test_a_run_trains_goes_on_and_tells(folder, tmp_path, capsys):
    before = json.loads((folder / learning.RESULT).read_text())
    assert set(before) == {"seconds", "exact", "bleu", "cider"}
    # Without its result, the training goes on from its last checkpoint, which is its end.
    (folder / learning.RESULT).unlink()
    again = learning.train(dataclasses.replace(SMOKE, network="transformer"), folder)
    assert {**again.result, "seconds": 0} == {**before, "seconds": 0}
    assert again.result["seconds"] == before["seconds"]
    with pytest.raises(ValueError, match="holds another training"):
        learning.train(dataclasses.replace(SMOKE, seed=3), folder)
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), "uint8")).save(picture)
    drawn = tmp_path / "attention.png"
    capsys.readouterr()
    assert command(folder, picture, "--beams", 2, "--attention", drawn) == 0
    *told, path = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert all(0 <= float(line.split()[0]) <= 1 for line in told)
    assert path == str(drawn)
    with Image.open(drawn) as image:
        assert image.width > 300
    picture.write_bytes(b"no picture")
    assert command("describe", folder, picture) == 2
    assert "picture.png cannot be used: it is no picture of a known format" in capsys.readouterr().err
    assert command(tmp_path, picture) == 2
    assert "holds no finished training: result.json is not there" in capsys.readouterr().err


def test_the_page_of_a_run_tells_its_scores(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = json.loads((folder / learning.RESULT).read_text())
    assert f"<td>{found['exact']:.3f}</td><td>{found['bleu'][0]:.3f}</td>" in page
    # Test pictures, where it looked, and the curves in light and in dark.
    assert page.count("data:image/png;base64,") == 4
    assert "best single sentence in hindsight" in page


@pytest.mark.slow
def test_a_run_is_scored_beside_the_baselines(folder, tmp_path, capsys):
    assert command("score", folder, "--beams", 1, "--sheet", tmp_path / "sheet.png") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[:4]] == ["network", "nearest", "constant", "hindsight"]
    assert (tmp_path / "sheet.png").is_file()


@pytest.mark.slow
def test_an_exported_run_says_the_same(folder, tmp_path):
    run = learning.open_run(folder)
    pictures = scenes.load("digits", "test", count=8).pictures
    exporting.export(run, tmp_path / "saved", beams=1)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    found, expected = loaded.serve(tf.constant(pictures)), run.search(beams=1)(pictures)
    np.testing.assert_array_equal(found["words"], expected.words[:, 0])
    np.testing.assert_allclose(found["log_probability"], expected.log_probability[:, 0], rtol=1e-5)
    assert [text.decode() for text in found["caption"].numpy()] == run.captions(pictures, beams=1)
    said = exporting.greedy(loaded, pictures, run.words.length)
    np.testing.assert_array_equal(said, expected.words[:, 0])
    with pytest.raises(ValueError, match="is there already. Choose another folder"):
        exporting.export(run, tmp_path / "saved")


@pytest.mark.slow
def test_an_embedding_finds_pictures(tmp_path, capsys):
    folder = tmp_path / "run"
    assert command("train", "--smoke", "--network", "embedding", "--out", folder) == 0
    assert "sentences of a picture: R@1" in capsys.readouterr().out
    assert "pictures of a sentence" in (folder / "report.html").read_text(encoding="utf-8")
    run, part = learning.open_run(folder), scenes.load("digits", "test", count=64)
    pictures, sentences, owners = run.embed(part)
    assert (len(pictures), len(sentences), owners.tolist()[:4]) == (64, 192, [0, 0, 0, 1])
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1, rtol=1e-5)
    whole = run.model.predict_on_batch(
        {"picture": part.pictures[:2].astype("float32"), "words": run.words.pairs([t[1] for t in part.captions[:2]])[1]}
    )
    np.testing.assert_allclose(whole[:, 0], pictures[:2], atol=1e-5)
    np.testing.assert_allclose(whole[:, 1], sentences[1:6:3], atol=1e-5)
    assert command("retrieve", folder, part.captions[3][0], "--most", 2, "--out", tmp_path / "found.png") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    with pytest.raises(ValueError, match="it says nothing. Train gru or transformer"):
        _ = run.decoder
    with pytest.raises(ValueError, match="Pictures are found by an embedding. Received: a run of gru"):
        dataclasses.replace(run, config=SMOKE).retrieve("a", part, most=1)


def write_manifest(folder, lines):
    (folder / "a.png").unlink(missing_ok=True)
    Image.fromarray(np.full((20, 30, 3), 7, "uint8")).save(folder / "a.png")
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "all.jsonl").write_text("\n".join(texts), encoding="utf-8")
    return f"manifest:{folder / 'all.jsonl'}"


GOOD = {"picture": "a.png", "captions": ["A dog runs."], "split": "train"}


def test_a_manifest_is_read(tmp_path):
    source = write_manifest(tmp_path, [GOOD, "", {**GOOD, "split": "test", "captions": ["One.", "Two."]}])
    found = scenes.load(source, "test", size=16)
    assert found.captions == (("One.", "Two."),)
    assert found.pictures.shape == (1, 16, 16, 3)
    np.testing.assert_array_equal(found.pictures[np.arange(1)], np.full((1, 16, 16, 3), 7, "uint8"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "all.jsonl:2 is no JSON"),
        ({"captions": ["a"]}, "all.jsonl:2 names no picture. A line is such as"),
        ({**GOOD, "captions": "a dog"}, "all.jsonl:2: captions must be a list of sentences, none of them empty"),
        ({**GOOD, "captions": [" "]}, "all.jsonl:2: captions must be a list of sentences, none of them empty"),
        ({**GOOD, "split": "dev"}, "all.jsonl:2: split must be one of train, validation, test. Received: 'dev'"),
        ({**GOOD, "picture": "b.png"}, "all.jsonl:2: there is no picture .*b.png"),
        ({**GOOD, "picture": "all.jsonl"}, "all.jsonl:2: .*all.jsonl is no picture of a known format"),
    ],
)
def test_bad_lines_of_a_manifest_are_refused(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        scenes.load(write_manifest(tmp_path, [GOOD, line]), "train")


def test_sources_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no picture of the split 'test'"):
        scenes.load(write_manifest(tmp_path, [GOOD]), "test")
    with pytest.raises(ValueError, match="There is no manifest .*none.jsonl"):
        scenes.load("manifest:none.jsonl", "train")
    with pytest.raises(ValueError, match="Sources are digits, manifest:FILE.jsonl and tfds:coco_captions. Received"):
        scenes.load("flickr", "train")
    with pytest.raises(ValueError, match="split must be one of train, validation, test. Received: 'dev'"):
        scenes.load("digits", "dev")
    with pytest.raises(ValueError, match="Scenes of three digits have at least 40 pixels. Received: size=32"):
        scenes.load("digits", "train", size=32)


@pytest.mark.slow
def test_a_picture_that_is_cut_off_is_named(tmp_path, capsys):
    pytest.importorskip("sacrebleu", reason="it comes with the extra `caption`")
    splits = [{**GOOD, "split": split} for split in scenes.SPLITS]
    source = write_manifest(tmp_path, splits)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:-20])
    assert command("train", "--smoke", "--data", source, "--size", 16, "--out", tmp_path / "run") == 2
    assert "a.png cannot be used: it is truncated or damaged" in capsys.readouterr().err


def test_coco_comes_from_tensorflow_datasets(monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets", reason="it comes with the extra `data`")
    asked = []

    def load(name, split):
        asked.append((name, split))
        texts = tf.constant(["A cat.", "Some cat."])
        return [{"image": tf.zeros((20, 10, 3), tf.uint8), "captions": {"text": texts}}] * 3

    monkeypatch.setattr(tfds, "load", load)
    found = scenes.load("tfds:coco_captions", "validation", size=8, count=2)
    assert asked == [("coco_captions", "val")]
    assert found.pictures.shape == (2, 8, 8, 3)
    assert found.captions == (("A cat.", "Some cat."),) * 2


def test_baselines():
    known = scenes.Captioned(
        np.stack([np.full((4, 4, 1), grey, "uint8") for grey in (0, 100, 200)]), (("a", "b"), ("b", "c"), ("d",))
    )
    assert baselines.constant(known) == "b"
    assert baselines.nearest(known, np.full((1, 4, 4, 1), 180, "uint8")) == ["d"]


def test_the_space_begins_with_the_defaults():
    fields = space.draw(DEFAULT, 0)
    assert {name: getattr(DEFAULT, name) for name in fields} == fields
    drawn = [space.draw(DEFAULT, number) for number in range(1, 12)]
    assert drawn == [space.draw(DEFAULT, number) for number in range(1, 12)]
    assert {one["network"] for one in drawn} == {"gru", "transformer"}
    assert all(("blocks" in one) == (one["network"] == "transformer") for one in drawn)
    for one in drawn:
        dataclasses.replace(DEFAULT, **one)
    with pytest.raises(ValueError, match="trials must be at least 1. Received: trials=0"):
        space.search(SMOKE, "nowhere", trials=0)
    with pytest.raises(ValueError, match="A search is for networks that say sentences, gru and transformer"):
        space.search(dataclasses.replace(SMOKE, network="embedding"), "nowhere", trials=1)


def test_knobs_must_have_values(tmp_path, capsys):
    assert command("train", "--knob", "alpha", "--out", tmp_path / "run") == 2
    assert "--knob takes NAME=VALUE. Received: 'alpha'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_and_a_comparison(tmp_path, capsys):
    pytest.importorskip("sacrebleu", reason="it comes with the extra `caption`")
    assert command("compare", "--smoke", "--out", tmp_path / "all") == 0
    out = capsys.readouterr().out
    for name in ("gru", "transformer", comparing.BLIND, "most frequent sentence", "nearest picture"):
        assert f"| {name} |" in out
    assert "| sentences of a picture |" in out
    # The first trial is the defaults, whose training is there already.
    (tmp_path / "search").mkdir()
    (tmp_path / "all" / "gru").rename(tmp_path / "search" / "trial_0000")
    assert command("tune", "--smoke", "--trials", 1, "--out", tmp_path / "search") == 0
    assert "network=gru, units=16" in capsys.readouterr().out
    assert json.loads((tmp_path / "search" / "best.json").read_text())["units"] == 16


def test_the_commands_of_the_readme_are_commands():
    text = (Path(comparing.__file__).parent / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    zoo caption ")]
    assert len(lines) >= 7
    for line in lines:
        assert callable(cli._parser([add]).parse_args(shlex.split(line, comments=True)[1:]).run)

"""Baselines, telling words, manual pages."""

import gzip
import io
import json
import sys

import numpy as np
import pytest

import zoo
from applications.text.baselines import accuracies
from applications.text.commands import add
from applications.text.manual_pages import collect, words_of
from zoo import runs
from zoo.cli import main
from zoo.data.text import Encoder, make_order_task
from zoo.runs.telling import highlighted, most_telling

KNOBS = {"filters": 20, "dimensions": 16}


def test_counts_of_words_know_no_order_and_pairs_do():
    texts, labels = make_order_task(800, seed=0)
    half = 600
    found = accuracies((texts[:half], np.array(labels[:half])), (texts[half:], np.array(labels[half:])))
    assert found["words, logistic regression"] == pytest.approx(0.5, abs=0.02)
    assert found["words and pairs, TF-IDF, linear SVM"] == 1
    assert found["most frequent class"] == 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network of filters over two words, which the order task needs."""
    folder = tmp_path_factory.mktemp("text") / "run"
    settings = runs.Settings(model="kim_cnn_rand", data="text:order", epochs=3, knobs={**KNOBS, "widths": (2,)})
    return runs.train(settings, folder)


def test_filters_over_two_words_solve_the_order_task(run):
    assert run.result()["evaluation"]["accuracy"] == 1


@pytest.mark.slow
def test_filters_over_one_word_do_not(tmp_path):
    settings = runs.Settings(model="kim_cnn_rand", data="text:order", epochs=6, knobs={**KNOBS, "widths": (1,)})
    accuracy = runs.train(settings, tmp_path / "run").result()["evaluation"]["accuracy"]
    assert accuracy == pytest.approx(0.5, abs=0.06)


def test_the_most_telling_pieces_are_the_pairs_that_decide(run, tmp_path, capsys):
    assert main(["text", "telling", str(run.folder), "--top", "3", "--html", str(tmp_path / "a.html")], add=[add]) == 0
    out = capsys.readouterr().out
    first, second = out.split("1:\n")
    assert "not good" in first
    assert "not bad" in second
    page = (tmp_path / "a.html").read_text()
    assert page.count("<p>") == 20
    assert "<mark" in page


def test_a_class_is_named_for_each_line(run, capsys, monkeypatch):
    lines = b"the film was not good but bad\n\nthe film was not bad but good\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["text", "predict", str(run.folder)], add=[add]) == 0
    answers = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert answers == ["0", "1"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ok\n\xff\n")))
    assert main(["text", "predict", str(run.folder)], add=[add]) == 2
    assert "standard input:2: this is not UTF-8" in capsys.readouterr().err


def test_a_filter_set_by_hand_is_explained():
    model = zoo.create_model("kim_cnn_rand", vocabulary=5, dimensions=5, widths=(2,), filters=1, input_shape=(6,))
    model.get_layer("embedding").set_weights([np.eye(5)])
    kernel = np.zeros((2, 5, 1))
    kernel[0, 3], kernel[1, 4] = 1, 1
    model.get_layer("conv2").set_weights([kernel, np.zeros(1)])
    model.get_layer("logits").set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    encoder = Encoder("words", ("", "[UNK]", "so", "very", "good"), 6)
    numbers = encoder.encode_all(["so so very good", "good very so so"])
    found = most_telling(model, encoder, numbers, ("yes", "no"), top=1)
    assert (found["yes"][0].words, found["yes"][0].weight, found["yes"][0].filter_name) == ("very good", 2.0, "conv2/0")
    page, label, probability = highlighted(model, encoder, "so <very> good", ("yes", "no"))
    assert (label, round(probability, 3)) == ("yes", round(1 / (1 + np.exp(-4)), 3))
    assert page.count("1.00") == 2
    with pytest.raises(ValueError, match="Telling pieces are those of filters over words"):
        most_telling(zoo.create_model("dpcnn", vocabulary=5, blocks=1), encoder, numbers, ("yes", "no"))


def test_manual_pages_lose_what_names_their_section():
    page = '.\\" a comment\n.TH LS 1 2020\n.SH NAME\nls \\- list, see \\fBdir\\fP(1) and open(3p)\n.B section 8\n'
    assert words_of(page) == ["name", "ls", "list", "see", "dir", "and", "open", "section"]


def test_manual_pages_are_collected_by_name(tmp_path):
    rng = np.random.default_rng(0)
    for section in "123578":
        folder = tmp_path / f"man{section}"
        folder.mkdir()
        for index in range(25):
            text = " ".join(rng.choice(["file", "call", "user", "return"], 40))
            (folder / f"page{index}.{section}.gz").write_bytes(gzip.compress(f".TH X {section}\n{text}".encode()))
    counts = collect(tmp_path, tmp_path / "a.jsonl", words=30)
    assert counts == dict.fromkeys("123578", 25)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {len(row["text"].split()) for row in rows} == {30}
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    with pytest.raises(ValueError, match="has 0 pages of 999 words; 20 are needed"):
        collect(tmp_path, tmp_path / "a.jsonl", words=999)


def test_other_data_is_refused(capsys):
    assert main(["text", "baselines", "signals:cbf"], add=[add]) == 2
    assert "These baselines are for text. Received: signals:cbf" in capsys.readouterr().err

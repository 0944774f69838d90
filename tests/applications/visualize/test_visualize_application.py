"""`zoo visualize` and `zoo probes`, as a user calls them."""

import dataclasses
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers
from PIL import Image
from weights.conftest import resnet18_state

import zoo
from applications.visualize import commands, config, probes, sheet, subject
from applications.visualize.commands import add
from zoo import runs
from zoo.cli import main
from zoo.weights import cache, published

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = runs.Settings(model="simple_cnn", data="digits", image_size=(20, 20), epochs=1, batch_size=256, seed=1)
    return runs.train(settings, tmp_path_factory.mktemp("runs") / "simple", test=False)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 16, 3)).astype(np.uint8)).save(path)
    return path


def test_a_run_gives_one_page_that_needs_nothing_else(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["visualize", str(run.folder), "test:3", "--smoke", "--out", str(page)], add=[add]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    for key in commands.SECTIONS:
        assert f'<section id="{key}"' in text
    assert "simple_cnn trained on digits" in text
    sources = re.findall(r'(?:src|href|srcset)="([^"]*)"', text)
    assert len(sources) > 40
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "<script" not in text
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text)


def test_sections_and_class_can_be_chosen(run, picture, tmp_path):
    page = tmp_path / "page.html"
    arguments = ["visualize", str(run.folder), str(picture), "--sections", "rivals,filters", "--class", "4"]
    assert main([*arguments, "--smoke", "--out", str(page)], add=[add]) == 0
    text = page.read_text()
    assert re.findall(r'<section id="(\w+)"', text) == ["answer", "rivals", "filters", "repeat"]
    assert re.search(r'class="low"><th[^>]*><bdi>4</bdi>', text)
    assert "--sections rivals,filters" in text


def test_a_transfer_model_from_a_file(picture, tmp_path):
    keras.utils.set_random_seed(0)
    inner = zoo.create_model("simple_cnn", include_top=False, input_shape=(16, 16, 3))
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), inner, layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    )
    model.save(tmp_path / "mine.keras")
    (tmp_path / "classes.txt").write_text("cat\ndog\n\nfish\n")
    page = tmp_path / "page.html"
    arguments = ["visualize", str(tmp_path / "mine.keras"), str(picture), "--classes", str(tmp_path / "classes.txt")]
    arguments += ["--class", "fish", "--smoke", "--out", str(page), "--sections", "reasons,maps,memories"]
    assert main(arguments, add=[add]) == 0
    text = page.read_text()
    assert "Why “fish”" in text
    assert "simple_cnn/stride4" in text


def test_a_registered_model_with_saved_weights(picture, tmp_path):
    zoo.weights.save(zoo.create_model("squeezenet1_1"), tmp_path / "weights")
    page = tmp_path / "page.html"
    arguments = ["visualize", "squeezenet1_1", str(picture), "--weights", str(tmp_path / "weights")]
    assert main([*arguments, "--smoke", "--out", str(page), "--sections", "filters"], add=[add]) == 0
    assert "64 filters of 3 × 3" in page.read_text()


@pytest.mark.slow
def test_published_weights_bring_their_preprocessing_and_the_names_of_classes(picture, tmp_path, monkeypatch):
    """The file is as timm publishes it, with random values, and lies where a download would have put it."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    row = published.find("resnet18", "timm.a1")
    file = cache.download_of(row)
    file.parent.mkdir(parents=True)
    file.write_bytes(safetensors.numpy.save(resnet18_state()))
    opened = subject.open_subject("resnet18", str(picture), weights="timm.a1")
    assert opened.picture.shape == (288, 288, 3)
    assert opened.picture.max() > 200  # pixels: the model itself scales
    assert opened.value_range == (0.0, 255.0)
    assert opened.index_of("goldfish") == 1
    expected = zoo.create_model("resnet18", weights="timm.a1", classifier_activation=None, input_shape=(288, 288, 3))
    scores = expected.predict(zoo.preprocessor("resnet18", "timm.a1")([str(picture)]), verbose=0)
    np.testing.assert_allclose(opened.network.scores(opened.picture[None]), scores, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "PICTURE"], "Expected: a run folder, a registered name or a .keras file. Received: 'nothing'"),
        (["resnet51", "PICTURE"], "Did you mean 'resnet56', 'resnet50'"),
        (["resnet18", "PICTURE"], "without weights has learned nothing that could be shown. Give --weights: a tag ("),
        (["kim_cnn_rand", "PICTURE"], "takes no pictures but text"),
        (["RUN", "missing.png"], "missing.png cannot be used"),
        (["RUN", "test:99999"], "test has examples 0 to 358. Received: test:99999"),
        (["RUN", "PICTURE", "--class", "ten"], "There is no class 'ten'"),
        (["RUN", "PICTURE", "--sections", "maps,none"], "Received: none"),
        (["RUN", "PICTURE", "--out", "/no/such/folder/page.html"], "--out must lie in a folder that is there"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(arguments, message, run, picture, capsys):
    if arguments[0] == "kim_cnn_rand":
        arguments = [zoo.list_models(modality="text")[0], *arguments[1:]]
    given = [{"RUN": str(run.folder), "PICTURE": str(picture)}.get(word, word) for word in arguments]
    assert main(["visualize", *given, "--smoke"], add=[add]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_the_command_and_the_page_know_the_same_sections():
    assert tuple(sheet.SECTIONS) == commands.SECTIONS


def test_probes_print_a_table_of_levels(run, capsys):
    assert main(["probes", str(run.folder), "--smoke"], add=[add]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        "pixels", "stride1", "pool1", "stride2", "stride4", "hidden", "predictions"
    ]  # fmt: skip


def test_examples_of_probes_are_drawn_from_the_whole_split(tmp_path):
    for label in range(3):  # stored class by class
        (tmp_path / str(label)).mkdir()
        for number in range(60):
            grey = np.full((8, 8), 80 * label + number, np.uint8)
            Image.fromarray(grey).save(tmp_path / str(label) / f"{number}.png")
    run = runs.prepare(runs.Settings(model="simple_cnn", data=f"folder:{tmp_path}", image_size=(16, 16), batch_size=8))
    few = config.Probes(examples=24)
    pictures, labels = probes._examples(run, "train", few)
    assert pictures.shape[0] == len(labels) == 24
    assert min(np.bincount(labels, minlength=3)) >= 3
    again, other = (probes._examples(run, "train", dataclasses.replace(few, seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(again[0], pictures)
    assert (other[0] != pictures).any()
    # What all fit into, comes whole.
    whole = probes._examples(run, "train", config.PROBES)[1]
    assert len(whole) == run.pipeline("train").num_examples


def test_a_run_without_pictures_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text(
        '{"format": 1, "data": {"name": "signals:cbf", "form": {}}, "model": {"name": "fcn_1d", "arguments": {}}}'
    )
    assert main(["visualize", str(tmp_path), "x.png"], add=[add]) == 2
    assert "was not trained on pictures. Received: data 'signals:cbf'" in capsys.readouterr().err
    assert main(["probes", str(tmp_path)], add=[add]) == 2
    assert "was not trained on pictures. Received: data 'signals:cbf'" in capsys.readouterr().err


def test_the_example_of_the_docs_runs(capsys):
    text = (ROOT / "docs" / "visualize.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "docs/visualize.md", "exec"), {})
    assert "'resnet20/stride4'" in (out := capsys.readouterr().out)
    assert out.splitlines()[-1] == "(16, 16)"
    assert re.findall(r"^\| (\w+) \| [^|]*\| (?:`[\w.]+`)? ?\|$", text, re.MULTILINE) == list(commands.SECTIONS)


@pytest.mark.slow
def test_close_to_the_input_more_about_data_close_to_the_output_more_about_the_task(tmp_path):
    settings = runs.Settings(model="simple_cnn", data="digits", image_size=(20, 20), epochs=8, seed=0)
    run = runs.train(settings, tmp_path / "run", test=False)
    rows = probes.probe(run, dataclasses.replace(config.PROBES, examples=700, grid=4, components=32))
    pictures = [row.picture for row in rows]
    assert pictures[0] > pictures[-2] > pictures[-1]
    assert rows[-2].task > rows[0].task
    # It is learned: the same graph without training does not find more of the classes than the pixels give.
    assert rows[-2].task > rows[-2].task_untrained

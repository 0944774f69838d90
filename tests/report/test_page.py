import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from zoo.report import Evaluation, page, write_report

CARD = {
    "name": "tinynet",
    "paper": {"title": "A <b>tiny</b> network", "year": 1998, "url": "https://example.org/paper"},
    "input_shape": [28, 28, 1],
    "num_params": 269722,
    "note": "",
    "weights": [],
    "results": [
        {"dataset": "MNIST", "top1": 99.05, "source": "https://example.org/table"},
        {"dataset": "other", "top1": None, "source": "javascript:alert(1)"},
    ],
}
RESULT = {
    "stopped": {"rule": "Patience", "explanation": "val_loss has not fallen for 2 epochs"},
    "best": {"epoch": 2, "val_loss": 0.25},
    "evaluation": {"split": "test", "loss": 0.5, "accuracy": 0.75},
    "seconds": 93.1,
    "epochs": 4,
}
CONFIG = {
    "model": {"name": "tinynet", "arguments": {"classes": 3, "input_shape": [8, 8, 1]}},
    "data": {"name": "digits"},
    "seed": 12345,
    "command": ["zoo", "train", "tinynet", "--data", "folder:my pictures"],
    "environment": {"python": "3.12.1"},
}
HISTORY = [
    {"epoch": number, "step": 5 * number, "learning_rate": 0.1, "loss": 1 / number, "val_loss": 1.1 / number}
    for number in range(1, 5)
]


def evaluation(classes=("a", "b", "c"), wrong=2, count=12, name="digits/test/{}", shape=(8, 8, 1)):
    """Predictions of which the first `wrong` are wrong; the last class has no example."""
    labels = np.arange(count) % (len(classes) - 1)
    predicted = np.where(np.arange(count) < wrong, (labels + 1) % len(classes), labels)
    probabilities = np.full((count, len(classes)), 0.2 / len(classes), np.float32)
    probabilities[np.arange(count), predicted] += 0.8
    return Evaluation(
        split="test",
        classes=tuple(classes),
        labels=labels,
        probabilities=probabilities,
        image=lambda index: np.random.default_rng(index).integers(0, 256, shape).astype(np.uint8),
        name=name.format,
    )


def write(folder, **changes):
    arguments = {
        "config": CONFIG,
        "history": HISTORY,
        "result": RESULT,
        "card": CARD,
        "evaluation": evaluation(),
        "filters": np.random.default_rng(0).normal(size=(3, 3, 1, 8)),
        **changes,
    }
    return write_report(folder, **arguments)


class Page(HTMLParser):
    """The elements, the text and the references of a page."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.parts, self.open = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", "".join(self.parts))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.parts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return write(tmp_path_factory.mktemp("usual"))


def test_the_folder_holds_the_page_and_the_figures(usual):
    files = sorted(str(path.relative_to(usual.parent)) for path in usual.parent.rglob("*") if path.is_file())
    names = ("confusion", "curves", "filters", "mistakes", "reliability")
    assert files == [*(f"figures/{name}.png" for name in names), "report.html"]
    for name in names:
        with Image.open(usual.parent / "figures" / f"{name}.png") as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100
            assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 5


def test_the_page_needs_nothing_from_outside(usual):
    page = Page(usual)
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            allowed = ("http://", "https://", "#") if tag == "a" else ("data:", "#")
            assert attributes.get(name, "#").startswith(allowed), (tag, name)
        assert not [name for name in attributes if name.startswith("on")], tag
    assert not page.all("script")
    assert "url(" not in usual.read_text()
    assert "@import" not in usual.read_text()


def test_the_page_is_accessible(usual):
    page = Page(usual)
    assert page.all("html") == [{"lang": "en"}]
    assert all(image["alt"] for image in page.all("img"))
    assert all("scope" in header for header in page.all("th"))
    assert [len(page.all(f"h{level}")) for level in (1, 2)] == [1, 8]
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert {f"#{name}" for name in identities} >= {link["href"] for link in page.all("a") if link["href"][0] == "#"}


def test_the_page_says_what_came_out(usual):
    text = Page(usual).text
    for part in (
        "tinynet on digits",
        "Test accuracy83.33 %95 % interval 55.20 % to 95.30 %",  # Wilson's interval of 10 in 12
        "Mistakes2of 12 examples, 3 classes",
        "Parameters269 722by the network’s card",
        "Training time1 min 33 s4 epochs, best 2",
        "Patience: val_loss has not fallen for 2 epochs",
        "All 2 wrong predictions, the surest first.",
        "8 filters of 3 × 3 over 1 channel,",
        "zoo train tinynet --data 'folder:my pictures'",
        "arguments.input_shape [8, 8, 1]",
        "seed 12345",
        "Input shape 28 × 28 × 1",
        "3.12.1",
    ):
        assert re.sub(r"\s", "", part) in re.sub(r"\s", "", text), part


def test_the_number_of_parameters_of_the_trained_model_goes_before_the_card(tmp_path):
    text = Page(write(tmp_path, result={**RESULT, "num_params": 1234})).text
    assert "Parameters1234trainable" in text
    assert "by the network’s card" not in text


def test_mistakes_show_picture_classes_probabilities_and_name(usual):
    page = Page(usual)
    pictures = [image for image in page.all("img") if "predicted" in image["alt"]]
    assert [image["alt"] for image in pictures] == ["a, predicted b: digits/test/0", "b, predicted c: digits/test/1"]
    assert "true6.7 % a predicted86.7 % b digits/test/0" in page.text


def test_equal_input_gives_equal_bytes(usual, tmp_path):
    again = write(tmp_path)
    assert again.read_bytes() == usual.read_bytes()
    for picture in (usual.parent / "figures").iterdir():
        assert (tmp_path / "figures" / picture.name).read_bytes() == picture.read_bytes()


def test_only_web_addresses_become_links(usual):
    page = Page(usual)
    links = [link["href"] for link in page.all("a") if link["href"][0] != "#"]
    assert links == ["https://example.org/paper", "https://example.org/table"]
    assert "javascript:alert(1)" in page.text


def test_text_from_outside_appears_as_text(tmp_path):
    hostile = "<script>alert(1)</script>"
    path = write(
        tmp_path,
        evaluation=evaluation((hostile, "$x_1", "日本語"), name="\"'><img src=x onerror=alert(2)>\udcff\u202e{}"),
        config={**CONFIG, "model": {"name": hostile, "</style>": hostile}, "command": ["\udcff", hostile]},
        card={**CARD, hostile: hostile, "results": [{hostile: hostile}]},
        history=[{"epoch": 1, hostile: 1.0, "$x_1^": 2.0}],
        result={**RESULT, "stopped": {"rule": hostile, "explanation": hostile}, "evaluation": {hostile: hostile}},
    )
    page = Page(path)
    assert not page.all("script")
    assert len(page.all("style")) == 1
    assert not [image for image in page.all("img") if image["src"] == "x"]
    assert page.text.count(hostile) > 8
    assert "$x_1" in page.text
    assert "日本語" in page.text
    assert "onerror=alert(2)>\ufffd\ufffd0" in page.text


def test_long_names_are_shortened(tmp_path):
    path = write(tmp_path, evaluation=evaluation(("x" * 3000, "y" * 3000, "c"), name="z" * 3000 + "{}"))
    assert not re.search("([xyz])\\1{500}", path.read_text())


def test_without_mistakes_the_least_certain_examples_are_shown(tmp_path):
    text = Page(write(tmp_path, evaluation=evaluation(wrong=0))).text
    assert "No mistakes" in text
    assert "Every prediction is right. These are the 12 that the network was least sure of." in text
    assert "No class was taken for another." in text


def test_of_many_mistakes_the_worst_24_are_shown(tmp_path):
    page = Page(write(tmp_path, evaluation=evaluation(wrong=40, count=50, shape=(5, 300, 3))))
    assert "The 24 of 40 wrong predictions that the network was surest of, the surest first." in page.text
    assert len([image for image in page.all("img") if "predicted" in image["alt"]]) == 24


def test_an_empty_run_gives_a_report(tmp_path):
    path = write(tmp_path / "new" / "folder", history=[], result={}, card={}, config={}, filters=None)
    text = Page(path).text
    assert "No epoch was recorded." in text
    assert "This model has no first convolution to show." in text
    assert not (path.parent / "figures" / "curves.png").exists()
    assert not (path.parent / "figures" / "filters.png").exists()


def test_a_thousand_classes_give_a_report(tmp_path):
    path = write(tmp_path, evaluation=evaluation([f"class {index}" for index in range(1000)], count=40))
    text = Page(path).text
    assert "With 1000 classes there is no room for counts and names; the pairs below have them." in text
    assert "class 999" in text
    assert path.stat().st_size < 2_000_000


def test_the_lowest_f1_is_marked(usual):
    page = Page(usual)
    assert len([row for row in page.all("tr") if row.get("class") == "low"]) == 1


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 1, 0)])
def test_what_is_no_kernel_is_refused_before_anything_is_written(tmp_path, shape):
    message = r"filters must be a kernel of shape \(height, width, channels, filters\).*Received: shape \(3, 3"
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "run", filters=np.zeros(shape))
    assert not (tmp_path / "run").exists()


def test_filters_beyond_the_cap_are_left_out_and_the_page_says_so(tmp_path):
    text = Page(write(tmp_path, filters=np.ones((1, 1, 2, 300)))).text
    assert "The first 512 of 600 tiles." in text
    assert "300 filters of 1 × 1 over 2 channels" in text


def test_the_report_replaces_an_older_one_as_a_whole(tmp_path, monkeypatch):
    write(tmp_path)
    old = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full_disk(path, content):
        raise OSError("no space left")

    monkeypatch.setattr(page.files, "write_atomic", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path, history=HISTORY[:2])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == old


def test_the_picture_on_the_page_is_the_picture_in_the_folder(usual):
    confusion = (usual.parent / "figures" / "confusion.png").read_bytes()
    assert page.Picture(confusion, confusion, "").width == Image.open(io.BytesIO(confusion)).width // 2
    assert page.template("report.html.jinja").environment.filters["data_uri"](confusion) in usual.read_text()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (59, "59.0 s"), (93.1, "1 min 33 s"), (7500, "2 h 05 min")]
)
def test_durations_are_written_in_two_units(seconds, text):
    assert page._duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://arxiv.org/abs/1512.03385", True),
        ("http://example.org", True),
        ("HTTPS://example.org", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https:", False),
        ("https://[broken", False),
        ("https://example.org/ and more", False),
        ("see https://example.org", False),
        (7, False),
    ],
)
def test_links(value, link):
    assert page._is_link(value) is link

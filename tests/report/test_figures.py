import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from zoo.report import Evaluation, figures
from zoo.report.scores import calibration
from zoo.report.theme import DARK, LIGHT


def random_evaluation(num_classes, count=60, classes=None):
    rng = np.random.default_rng(num_classes)
    labels = rng.integers(0, max(1, num_classes - 1), count)  # the last class is absent
    logits = rng.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += 2
    odds = np.exp(logits)
    return Evaluation(
        split="test",
        classes=classes or tuple(f"class {index}" for index in range(num_classes)),
        labels=labels,
        probabilities=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        image=lambda index: np.full((3 + index % 5, 8, 1 + 2 * (index % 2)), 7 * index % 256, np.uint8),
        name=lambda index: f"picture {index}",
    )


def opened(png):
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB")).astype(int)


def epoch(number, **metrics):
    return {"epoch": number, "step": 10 * number, **metrics}


def test_panels_pair_metrics_and_put_the_loss_first_and_the_learning_rate_last():
    history = [
        epoch(1, learning_rate=0.1, accuracy=0.5, loss=1.0, val_loss=1.5, val_auc=0.7),
        epoch(2, learning_rate=0.1, accuracy=0.6, loss=0.9, val_loss=None),
    ]
    panels = figures.panels(history)
    assert [panel.title for panel in panels] == ["Loss", "Accuracy", "Auc", "Learning rate"]
    assert [list(panel.series) for panel in panels] == [["training", "validation"], ["training"], ["validation"], [""]]
    np.testing.assert_array_equal(panels[0].series["validation"], [1.5, np.nan])
    assert not panels[0].diverged.size


def test_panels_keep_epochs_that_diverged_apart_from_epochs_without_a_value():
    history = [epoch(1, loss=1.0), epoch(2, loss=float("nan")), epoch(3, loss=None), epoch(4, loss=float("inf"))]
    (panel,) = figures.panels(history)
    assert panel.diverged.tolist() == [2, 4]
    np.testing.assert_array_equal(panel.series["training"], [1.0, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("name", "values", "log"),
    [
        ("loss", (1.0, 0.01), True),
        ("loss", (1.0, 0.5), False),
        ("loss", (1.0, 0.0), False),
        ("loss", (1.0, -5.0), False),
        ("loss", (float("nan"), float("nan")), False),
        ("accuracy", (0.01, 1.0), False),
    ],
)
def test_losses_that_span_much_are_drawn_on_a_logarithmic_scale(name, values, log):
    (panel,) = figures.panels([epoch(1, **{name: values[0]}), epoch(2, **{name: values[1]})])
    assert panel.log is log


@pytest.mark.parametrize(
    "history",
    [
        [epoch(1, loss=1.0, val_loss=2.0)],
        [epoch(number, loss=float("nan")) for number in (1, 2, 3)],
        [
            epoch(number, loss=10.0**-number, val_loss=1.0, learning_rate=0.1, **{"$x_1$": 1.0})
            for number in range(1, 40)
        ],
        [epoch(1, **{f"日本{index}": 1.0 for index in range(5)})],
    ],
    ids=["one epoch", "all NaN", "log scale and a formula", "glyphs that the font lacks"],
)
def test_curves_are_drawn(history):
    panels = figures.panels(history)
    picture = opened(figures.curves(panels, best_epoch=1))
    columns, rows = min(3, len(panels)), -(-len(panels) // 3)
    assert picture.shape == (540 * rows, 740 * columns, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_the_best_epoch_is_marked():
    panels = figures.panels([epoch(number, loss=1.0) for number in range(1, 9)])
    assert (opened(figures.curves(panels, best_epoch=4)) != opened(figures.curves(panels, best_epoch=None))).any()


@pytest.mark.parametrize("num_classes", [1, 2, 12, 30, 31, 1000])
def test_confusion_is_drawn_for_few_and_many_classes(num_classes):
    picture = opened(figures.confusion(random_evaluation(num_classes)))
    height, width, _ = picture.shape
    assert height == width
    assert 400 < height < 2400
    # Blue for what is right.
    blue = picture[..., 2] - picture[..., 0] > 60
    assert blue.any()


def test_a_mistake_is_orange_where_it_belongs():
    classes = ("a", "b")
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]], np.float32)
    evaluation = Evaluation("test", classes, np.array([0, 1, 1]), probabilities, image=None, name=None)
    picture = opened(figures.confusion(evaluation))
    rows, columns = np.nonzero(picture[..., 0] - picture[..., 2] > 60)
    blue_rows, blue_columns = np.nonzero(picture[..., 2] - picture[..., 0] > 60)
    # True b, predicted a: below the first right cell and left of the second.
    assert rows.mean() > blue_rows.min()
    assert columns.mean() < blue_columns.mean()


def test_mistakes_and_reliability_are_drawn():
    evaluation = random_evaluation(4)
    assert opened(figures.mistakes(evaluation, [5])).shape == (440, 2100, 3)
    assert opened(figures.mistakes(evaluation, range(24))).shape == (4 * 440, 2100, 3)
    assert opened(figures.reliability(calibration(evaluation))).shape == (720, 840, 3)


def test_small_pictures_are_enlarged_without_smoothing():
    picture = np.array([[[0], [255]], [[255], [0]]], np.uint8)
    evaluation = Evaluation(
        "test", ("a",), np.array([0]), np.ones((1, 1), np.float32), lambda index: picture, lambda index: ""
    )
    drawn = opened(figures.mistakes(evaluation, [0]))
    upper, lower = drawn[150], drawn[400]
    assert upper[60].tolist() == lower[250].tolist() == [0, 0, 0]
    assert upper[250].tolist() == lower[60].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("shape", "tiles_per_row", "rows"),
    [
        ((3, 3, 1, 16), 8, 2),
        ((11, 11, 3, 96), 16, 6),
        ((1, 1, 1, 1), 1, 1),
        ((3, 3, 17, 4), 16, 5),
        ((5, 3, 1, 600), 32, 16),
    ],
)
def test_filters_are_a_mosaic(shape, tiles_per_row, rows):
    kernel = np.random.default_rng(0).normal(size=shape)
    picture = opened(figures.filters(kernel))
    background = (picture == 255).all(axis=2)
    assert _runs(~background.all(axis=0)) == tiles_per_row
    assert _runs(~background.all(axis=1)) == rows
    assert picture.shape[1] < 2000


def _runs(mask):
    return sum(value for value, _ in itertools.groupby(mask))


def test_filters_are_scaled_by_their_largest_weight_with_zero_in_the_middle():
    kernel = np.zeros((1, 2, 3, 2), np.float32)
    kernel[0, 0, :, 0] = (2, -2, 0)  # scaled: (1, -1, 0)
    kernel[0, 0, 0, 1] = np.nan
    colours = {tuple(colour) for colour in opened(figures.filters(kernel)).reshape(-1, 3)}
    assert colours == {(255, 255, 255), (255, 0, 128), (128, 128, 128)}


def test_figures_are_drawn_in_the_colours_of_their_theme():
    evaluation = random_evaluation(3)
    panels = figures.panels([epoch(1, loss=1.0), epoch(2, loss=0.5)])
    for theme, corner in ((LIGHT, [255, 255, 255]), (DARK, [0x16, 0x1D, 0x25])):
        assert opened(figures.curves(panels, 1, theme))[0, 0].tolist() == corner
        assert opened(figures.confusion(evaluation, theme))[0, 0].tolist() == corner
        assert opened(figures.filters(np.ones((3, 3, 1, 2)), theme))[0, 0].tolist() == corner


def test_figures_drawn_in_threads_are_equal_and_leave_no_global_state():
    evaluation, settings = random_evaluation(5), dict(mpl.rcParams)
    alone = figures.confusion(evaluation)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: figures.confusion(evaluation), range(4)))
    assert all(picture == alone for picture in together)
    assert dict(mpl.rcParams) == settings


def test_labels_that_the_font_cannot_write_become_numbers():
    names = ("Ä b", "日本語", "$x_1$", "tab\tname", "  ", "a name of more than eighteen letters")
    assert figures.class_labels(names) == ["Ä b", "#1", "$x_1$", "#3", "#4", "a name of… letters"]
    assert figures.legible("a日\udcffb") == "a□□b"


@pytest.mark.parametrize(
    ("text", "length", "short"), [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc…fg"), ("abcdefg", 5, "ab…fg")]
)
def test_shorten_leaves_out_the_middle(text, length, short):
    assert figures.shorten(text, length) == short
    assert len(short) <= length


def test_large_pictures_are_made_smaller_and_keep_their_form():
    assert opened(figures.encode(np.zeros((100, 400, 3), np.uint8), max_side=200)).shape == (50, 200, 3)
    assert opened(figures.encode(np.zeros((8, 8, 1), np.uint8), max_side=200)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 1)), np.zeros((0, 2, 1), np.uint8)],
)
def test_what_is_no_picture_is_refused(picture):
    evaluation = Evaluation(
        "test", ("a",), np.array([0]), np.ones((1, 1), np.float32), lambda index: picture, lambda index: ""
    )
    with pytest.raises(
        ValueError, match=r"must return uint8 of shape \(height, width, 1 or 3\)\. Received: .* for index 0"
    ):
        figures.image_of(evaluation, 0)

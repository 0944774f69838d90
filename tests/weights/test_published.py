"""The table of published weights."""

import importlib
import inspect
import re

import pytest

import zoo
from zoo.builder import check_knobs
from zoo.weights.published import find, published


def test_each_row_fits_a_registered_model():
    rows = published()
    assert len(rows) > 100
    assert len({(row.model, row.tag) for row in rows}) == len(rows)
    for row in rows:
        assert row.num_params == zoo.model_card(row.model).num_params, row
        assert row.url.startswith("https://")
        assert row.url.endswith(row.kind)
        assert re.fullmatch("[0-9a-f]*", row.sha256_prefix)
        assert re.fullmatch("([0-9a-f]{32})?", row.md5)
        check_knobs(row.model, row.knobs)
        assert 0 < row.top1 < row.top5 < 100
        assert zoo.weights.Preprocessing.from_record(row).crop_size == row.eval_size


def test_the_default_is_the_most_accurate_with_a_free_licence():
    assert find("alexnet").tag == "torchvision"
    default = find("resnet50")
    assert default == find("resnet50", "default")
    assert default == find("resnet50", "timm")
    rivals = [row for row in published() if row.model == "resnet50" and row.licence == "apache-2.0"]
    assert default.top1 >= max(row.top1 for row in rivals)
    assert find("resnet50", "torchvision").top1 == 76.13
    assert find("resnet50", "torchvision.v2").top1 == 80.858


def test_non_commercial_weights_are_given_by_name_alone():
    row = next(row for row in published() if row.is_non_commercial)
    with pytest.warns(UserWarning, match="have the licence cc-by-nc-4.0: no commercial use"):
        assert find(row.model, row.tag) == row
    assert not find(row.model).is_non_commercial


def test_unknown_weights_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'alexnet' has no published weights 'timm'. Published weights: torchvision."):
        find("alexnet", "timm")
    with pytest.raises(ValueError, match="'lenet5' has no published weights 'default'. Published weights: none."):
        find("lenet5")


def test_preprocessing_is_that_of_the_weights():
    assert zoo.preprocessor("resnet50", weights="torchvision.v2").resize_size == 232
    assert zoo.preprocessor("googlenet").input_transform[0] == pytest.approx((0.458, 0.448, 0.45))


@pytest.mark.parametrize(("model", "mode", "size"), [
    ("vgg16", "caffe", 224), ("resnet50", "caffe", 224), ("densenet121", "torch", 224), ("mobilenet", "tf", 224),
    ("inception_v3", "tf", 299), ("inception_resnet_v2", "tf", 299),
])  # fmt: skip
def test_weights_of_keras_have_the_scale_of_their_module(model, mode, size):
    row = find(model, "keras")
    theirs = zoo.weights.Preprocessing.from_keras_mode(mode, resize_size=row.resize_size, crop_size=size)
    assert zoo.weights.Preprocessing.from_record(row) == theirs


def test_weights_that_need_another_form_of_the_network_say_so():
    assert find("resnet50", "keras").knobs == {"variant": "paper"}
    assert find("inception_v3", "keras").knobs == {"count_include_pad": False}
    assert find("resnet50").knobs == {}


def test_hashes_of_keras_are_those_in_its_code():
    """A file of Keras that is not hashed there has no hash here either."""
    for row in published():
        if row.source != "keras":
            continue
        module = {"resnet50": "resnet", "resnet101": "resnet", "resnet152": "resnet"}.get(row.model, row.model)
        module = "densenet" if module.startswith("densenet") else module
        code = inspect.getsource(importlib.import_module(f"keras.src.applications.{module}"))
        assert (row.md5 in code) if row.model != "mobilenet" else not row.md5 and "hash" not in code

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.weights import imagenet_classes


def test_a_thousand_classes_in_the_order_of_their_ids():
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000
    ids, names = zip(*classes, strict=True)
    assert list(ids) == sorted(ids)
    assert all(len(wnid) == 9 and wnid.startswith("n") and wnid[1:].isdigit() for wnid in ids)
    assert len(set(names)) == 1000
    assert all(name == name.strip() and name for name in names)
    assert classes[0] == ("n01440764", "tench")
    assert classes[999] == ("n15075141", "toilet tissue")


def test_the_best_classes_of_each_example():
    predictions = np.zeros((2, 1000), "float32")
    predictions[0, [3, 7, 5]] = 0.5, 0.25, 0.125
    predictions[1, 999] = 1
    first, second = zoo.decode_predictions(predictions, top=3)
    assert [item.name for item in first] == ["tiger shark", "cock", "electric ray"]
    assert [item.score for item in first] == [0.5, 0.25, 0.125]
    assert second[0] == ("n15075141", "toilet tissue", 1.0)
    assert [item.wnid for item in second[1:]] == [imagenet_classes()[index].wnid for index in (0, 1)]
    assert isinstance(first[0].score, float)


@pytest.mark.parametrize("convert", [tf.constant, keras.ops.convert_to_tensor, lambda x: x.astype("float16")])
def test_tensors_and_logits(convert):
    logits = np.linspace(-8, 8, 1000, dtype="float32")[np.newaxis]
    decoded = zoo.decode_predictions(convert(logits))
    assert [len(item) for item in decoded] == [5]
    assert decoded[0][0] == ("n15075141", "toilet tissue", 8.0)


def test_a_whole_network():
    predictions = zoo.create_model("mobilenet_025").predict(np.zeros((1, 224, 224, 3)), verbose=0)
    everything = zoo.decode_predictions(predictions, top=1000)[0]
    assert sum(item.score for item in everything) == pytest.approx(1, abs=1e-4)
    assert {item.wnid for item in everything} == {item.wnid for item in imagenet_classes()}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1000,), r"must have the shape \(batch, 1000\).*Received: shape \(1000,\). Add the batch axis"),
        ((1, 1001), r"Received: shape \(1, 1001\)\.$"),
        ((1, 1, 1000), "must have the shape"),
    ],
)
def test_other_shapes_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        zoo.decode_predictions(np.zeros(shape))


@pytest.mark.parametrize("top", [0, 1001, 2.0, True, None])
def test_illegal_top(top):
    with pytest.raises(ValueError, match="top must be a whole number from 1 to 1000. Received: top="):
        zoo.decode_predictions(np.zeros((1, 1000)), top=top)


def test_no_numbers():
    with pytest.raises(ValueError, match="predictions hold values that are not numbers"):
        zoo.decode_predictions(np.full((1, 1000), np.nan))

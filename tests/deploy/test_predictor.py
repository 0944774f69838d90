"""The predictor: any number of examples, any thread, the engine that is fastest and right."""

import dataclasses
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from deploy.networks import needs, of_any_size, of_words, pictures, two_outputs
from PIL import Image

from zoo.deploy import Predictor, choices, differences, engines, example_inputs, export, fold, predictor
from zoo.weights import Preprocessing


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No test finds the choice of another."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model():
    return two_outputs()


@pytest.fixture(scope="module")
def compiled(model):
    with Predictor(model, engine="tensorflow", batch_sizes=(1, 4)) as found:
        yield found


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 11])
def test_any_number_of_examples(model, compiled, count):
    x = pictures(count)
    found = compiled(x)
    for name, value in model(x).items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)
        assert len(found[name]) == count


def test_batches_are_those_that_cost_least():
    assert predictor._cheapest(((1, 1.0), (16, 8.0)), 7) == (1,) * 7
    assert predictor._cheapest(((1, 1.0), (16, 8.0)), 9) == (16,)
    assert predictor._cheapest(((1, 1.0), (4, 2.0), (16, 7.0)), 22) == (16, 4, 1, 1)


def test_calls_and_requests_of_many_threads(model, compiled):
    x = pictures(40)
    expected = np.asarray(model(x)["policy"])
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(compiled.submit, x))
        called = list(pool.map(lambda start: compiled(x[start : start + 3])["policy"], range(0, 36, 3)))
    np.testing.assert_allclose(np.stack([future.result()["policy"] for future in futures]), expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(called), expected[:36], atol=1e-5)


def test_requests_are_gathered_into_batches(model):
    with Predictor(model, engine="tensorflow", batch_sizes=(1, 4), max_delay_seconds=5) as found:
        sizes, calls = [], found._calls[(8, 8, 3)]
        for size, call in list(calls.items()):
            calls[size] = lambda images, size=size, call=call: (sizes.append(size), call(images))[1]
        futures = [found.submit(image) for image in pictures(4)]
        assert [future.result(60)["policy"].shape for future in futures] == [(5,)] * 4
    assert sizes == [4]


def test_a_request_waits_no_longer_than_it_may_and_a_failure_comes_back(compiled, monkeypatch):
    assert compiled.submit(pictures(1)[0]).result(60)["value"].shape == (1,)
    calls = {size: lambda images: 1 / 0 for size in (1, 4)}
    monkeypatch.setitem(compiled._calls, (8, 8, 3), calls)
    with pytest.raises(ZeroDivisionError):
        compiled.submit(pictures(1)[0]).result(60)


def test_a_closed_predictor_answers_what_it_has_and_takes_no_more(model):
    found = Predictor(model, engine="tensorflow", batch_sizes=(1,), max_delay_seconds=30)
    future = found.submit(pictures(1)[0])
    thread = found._requests._thread
    found.close()
    assert future.done()
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="The predictor was closed; it takes no more examples"):
        found.submit(pictures(1)[0])


def test_shapes_are_compiled_as_they_come():
    model = of_any_size()
    found = Predictor(model, engine="tensorflow", batch_sizes=(2,))
    for shape in ((6, 5, 1), (9, 9, 1)):
        x = pictures(3, shape)
        np.testing.assert_allclose(found(x), model(x), atol=1e-5)
    assert set(found._calls) == {(6, 5, 1), (9, 9, 1)}
    for height in range(4, 4 + predictor.SHAPES):
        found(pictures(1, (height, 4, 1)))
    assert len(found._calls) == predictor.SHAPES
    assert (6, 5, 1) not in found._calls
    np.testing.assert_allclose(found(pictures(5, (6, 5, 1))), model(pictures(5, (6, 5, 1))), atol=1e-5)
    with pytest.raises(ValueError, match=r"auto' measures, .*\(None, None, 1\)\. Give input_shape, or name an engine"):
        Predictor(model)


def changed(name, change, own=engines.ENGINES["tensorflow"]):
    """An engine, such as TensorFlow, under a name, with something done to its calls."""

    def start(*arguments):
        run = own.start(*arguments)
        return lambda images: change(run, images)

    return dataclasses.replace(own, name=name, start=start)


def test_known_shapes_are_answered_while_another_is_compiled(monkeypatch):
    own, begun, go_on = engines.ENGINES["tensorflow"], threading.Event(), threading.Event()

    def start(*arguments):
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert go_on.wait(60)
        return own.start(*arguments)

    monkeypatch.setitem(engines.ENGINES, "tensorflow", dataclasses.replace(own, start=start))
    model = of_any_size()
    found = Predictor(model, engine="tensorflow", batch_sizes=(2,))
    known, new = pictures(2, (6, 5, 1)), pictures(2, (9, 9, 1))
    expected = found(known)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(found, new)
        assert begun.wait(60)
        np.testing.assert_array_equal(found(known), expected)
        assert not waiting.done()
        go_on.set()
        np.testing.assert_allclose(waiting.result(60), model(new), atol=1e-5)


def test_the_fastest_engine_that_agrees_is_taken(monkeypatch):
    """One engine answers wrong, one fails, one is slow; all of them run."""
    own = engines.ENGINES["tensorflow"]

    def fails(run, images):
        raise RuntimeError("no such operation: Conv\nand more")

    stand_ins = {
        "wrong": changed("wrong", lambda run, images: [value + 1 for value in run(images)]),
        "failing": changed("failing", fails),
        "slow": changed("slow", lambda run, images: (time.sleep(0.05), run(images))[1]),
        "fast": changed("fast", lambda run, images: run(images)),
        "float_only": dataclasses.replace(own, name="float_only", precisions=()),
        "missing": dataclasses.replace(own, name="missing", packages=("nowhere_to_be_found",)),
    }
    monkeypatch.setattr(engines, "ENGINES", stand_ins)
    found = Predictor(of_words(), batch_sizes=(1, 3))
    assert found.engine == "fast"
    for text in (
        "fast is the fastest here in float32: fast ", " ms at batch 3 (differs by ", "; slow ",
        "wrong answers otherwise than Keras (by ", "failing cannot run it (RuntimeError: no such operation: Conv)",
        "float_only does not compute in float32", "missing is not installed",
    ):  # fmt: skip
        assert text in found.why
    del stand_ins["fast"], stand_ins["slow"]
    with pytest.raises(ValueError, match="No engine runs 'of_words' as Keras does: wrong answers otherwise"):
        Predictor(of_words(), batch_sizes=(1,))


@pytest.fixture
def started(monkeypatch):
    """Two engines, the second of which is slow; the names of those that were started."""
    names = []

    def run_of(name, seconds):
        return changed(name, lambda run, images: (names.append(name), time.sleep(seconds), run(images))[2])

    monkeypatch.setattr(engines, "ENGINES", {"slow": run_of("slow", 0.02), "fast": run_of("fast", 0)})
    return names


def test_what_was_the_fastest_is_taken_again_and_nothing_else_is_compiled(home, started):
    model = two_outputs()
    first = Predictor(model, batch_sizes=(1, 2))
    assert (first.engine, set(started)) == ("fast", {"slow", "fast"})
    started.clear()
    again = Predictor(model, batch_sizes=(2, 1))
    assert (again.engine, set(started)) == ("fast", {"fast"})
    assert again.why.startswith(f"{first.why}. Measured on 20")
    (kept,) = (home / "engines").iterdir()
    assert f"remember=False measures again, and without {kept} so does the next start" in again.why
    np.testing.assert_allclose(again(pictures(3))["policy"], model(pictures(3))["policy"], atol=1e-5)
    started.clear()
    Predictor(model, batch_sizes=(1, 2), remember=False)
    assert set(started) == {"slow", "fast"}


def test_the_same_network_built_again_with_other_weights_has_the_same_choice(home, started):
    Predictor(two_outputs(), batch_sizes=(1,))
    started.clear()
    keras.utils.set_random_seed(5)
    Predictor(two_outputs(), batch_sizes=(1,))
    assert set(started) == {"fast"}
    Predictor(of_words(), batch_sizes=(1,))
    assert len(list((home / "engines").iterdir())) == 2


def test_a_network_without_a_config_is_measured_each_time(home, started):
    class Odd(keras.layers.Layer):
        """A layer that cannot say what it was made of."""

        def __init__(self, what):
            super().__init__()
            self.what = what

        def call(self, x):
            return x * 2

        def get_config(self):
            raise NotImplementedError

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Odd(object())(inputs))
    assert choices.place(model, (4,), (1,), "float32", None) is None
    assert choices.place(two_outputs(), (8, 8, 3), (1,), "float32", None).parent == home / "engines"


@pytest.mark.parametrize("other", [{"batch_sizes": (1,)}, {"precision": "bfloat16"}])
def test_a_choice_is_for_what_it_was_measured_on(other, started):
    model = two_outputs()
    Predictor(model, batch_sizes=(2,))
    started.clear()
    Predictor(model, **{"batch_sizes": (2,), **other})
    assert set(started) == {"slow", "fast"}


@pytest.mark.parametrize(("precision", "is_told"), [("bfloat16", True), ("float32", False)])
def test_in_bfloat16_it_says_what_float32_takes(started, precision, is_told):
    measured, again = (Predictor(two_outputs(), batch_sizes=(1,), precision=precision).why for _ in range(2))
    told = r"\. In float32 it takes [\d.]+ ms at batch 1, \d+\.\d\d times as long"
    assert bool(re.search(f"{told}$", measured)) == is_told
    assert bool(re.search(rf"{told}\. Measured on ", again)) == is_told


def test_a_choice_that_no_longer_agrees_with_keras_is_measured_again(home, started, monkeypatch):
    model = two_outputs()
    Predictor(model, batch_sizes=(1,))
    wrong = changed("fast", lambda run, images: [value + 1 for value in run(images)], engines.ENGINES["fast"])
    monkeypatch.setitem(engines.ENGINES, "fast", wrong)
    found = Predictor(model, batch_sizes=(1,))
    assert (found.engine, "fast answers otherwise than Keras" in found.why) == ("slow", True)
    (kept,) = (home / "engines").iterdir()
    assert json.loads(kept.read_text())["engine"] == "slow"


@pytest.mark.parametrize("content", ["", "[]", '{"engine": "fast"}', '{"engine": "none", "why": "", "date": ""}'])
def test_a_damaged_choice_is_measured_again(content, home, started):
    model = two_outputs()
    Predictor(model, batch_sizes=(1,))
    (kept,) = (home / "engines").iterdir()
    kept.write_text(content)
    started.clear()
    assert Predictor(model, batch_sizes=(1,)).engine == "fast"
    assert set(started) == {"slow", "fast"}


def test_a_cache_that_cannot_be_written_is_done_without(home, started):
    home.write_text("a file")
    assert Predictor(two_outputs(), batch_sizes=(1,)).engine == "fast"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"batch_sizes": ()}, r"batch_sizes must be whole numbers, at least 1\. Received: batch_sizes=\(\)"),
        ({"max_delay_seconds": -1}, r"max_delay_seconds must be at least 0\. Received: max_delay_seconds=-1"),
        ({"engine": "caffe"}, "engine must be one of"),
        ({"threads": 0}, "threads must be a whole number, at least 1. Received: threads=0"),
        ({"precision": "float8"}, "precision must be one of"),
    ],
)
def test_what_cannot_be_is_refused(model, arguments, text):
    with pytest.raises(ValueError, match=text):
        Predictor(model, **arguments)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((2, 8, 8, 1), "float32"), r"takes examples of shape \(8, 8, 3\)\. Received: \(8, 8, 1\)"),
        (np.zeros((0, 8, 8, 3), "float32"), r"at least one example\. Received: shape \(0, 8, 8, 3\)"),
        (np.zeros((1, 8, 8, 3), "complex64"), "takes float32. Received: complex64"),
    ],
)
def test_other_examples_are_refused(compiled, images, text):
    with pytest.raises(ValueError, match=text):
        compiled(images)


def test_preprocessing_goes_into_the_graph(model):
    preprocessing = Preprocessing(resize_size=None, crop_size=None)
    found = Predictor(model, engine="tensorflow", batch_sizes=(2,), include_preprocessing=preprocessing)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    np.testing.assert_allclose(found(pixels)["policy"], model(preprocessing(pixels))["policy"], atol=1e-5)
    for other in ("float32", "uint16", "int64"):  # which would wrap around
        with pytest.raises(ValueError, match=f"The network takes uint8. Received: {other}"):
            found(pixels.astype(other))
    with pytest.raises(ValueError, match="A model does not say what its preprocessing is"):
        Predictor(model, engine="tensorflow", include_preprocessing=True)


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, shape).astype("uint8") for shape in ((12, 9, 3), (31, 20, 3), (8, 8, 3), (40, 12, 3))]


SQUASH = Preprocessing(resize_size=(8, 8), crop_size=None, crop_mode="squash", interpolation="bicubic")
CENTER = Preprocessing(resize_size=10, crop_size=8)


def by_pillow(picture):
    """What `SQUASH` makes of a picture, by other hands."""
    values = np.asarray(Image.fromarray(picture).resize((8, 8), Image.Resampling.BICUBIC))
    return ((values / 255 - SQUASH.mean) / SQUASH.std).astype("float32")


@pytest.mark.parametrize("engine", ["tensorflow", "openvino", "onnxruntime", "litert"])
def test_pictures_of_any_size_are_resized(engine, model, photographs):
    needs(engine)
    expected = np.asarray(model(np.stack([by_pillow(picture) for picture in photographs]))["policy"])
    with Predictor(model, engine=engine, batch_sizes=(1, 4), include_preprocessing=SQUASH, resize=True) as found:
        np.testing.assert_allclose(found(photographs)["policy"], expected, atol=1e-5)
        np.testing.assert_allclose(found(photographs[1][np.newaxis])["policy"], expected[1:2], atol=1e-5)
        assert set(found._calls) == {(8, 8, 3)}  # nothing is compiled for a size of picture


def test_pictures_of_several_sizes_are_answered_in_one_batch(model, photographs, tmp_path):
    expected = np.asarray(model(CENTER(photographs))["policy"])
    Image.fromarray(photographs[3]).save(tmp_path / "photograph.png")
    given = [*photographs[:2], Image.fromarray(photographs[2]), tmp_path / "photograph.png"]
    with Predictor(model, engine="tensorflow", batch_sizes=(4,), include_preprocessing=CENTER, resize=True,
                   max_delay_seconds=5) as found:  # fmt: skip
        sizes, call = [], found._calls[8, 8, 3][4]
        found._calls[8, 8, 3][4] = lambda images: (sizes.append(len(images)), call(images))[1]
        futures = [found.submit(picture) for picture in given]
        answers = [future.result(60)["policy"] for future in futures]
    assert sizes == [4]
    np.testing.assert_allclose(np.stack(answers), expected, atol=1e-5)


def test_an_export_resizes_by_its_own_preprocessing(model, photographs, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    export(model, inside, to="saved_model", examples=pixels, preprocessing=CENTER, inside=True)
    found = Predictor(inside, batch_sizes=(1,), resize=True)
    np.testing.assert_allclose(found(photographs)["policy"], model(CENTER(photographs))["policy"], atol=1e-5)
    export(model, outside, to="saved_model", examples=pictures(3), preprocessing=CENTER)
    with pytest.raises(ValueError, match="resize is for what takes pixels"):
        Predictor(outside, batch_sizes=(1,), resize=True)


def test_what_cannot_be_resized_is_refused(model, photographs):
    with pytest.raises(ValueError, match="resize is for what takes pixels. Received: resize=True without preprocessin"):
        Predictor(model, engine="tensorflow", resize=True)
    for other in (Preprocessing(resize_size=None, crop_size=None), Preprocessing(resize_size=9, crop_size=None)):
        with pytest.raises(ValueError, match=r"all pictures one size\. Received: Preprocessing\(resize_size="):
            Predictor(model, engine="tensorflow", include_preprocessing=other, resize=True)
    larger = Preprocessing(resize_size=10, crop_size=9)
    with pytest.raises(ValueError, match=r"shape \(8, 8, 3\)\. Received: a preprocessing that gives \(9, 9\)"):
        Predictor(model, engine="tensorflow", include_preprocessing=larger, resize=True)
    found = Predictor(model, engine="tensorflow", batch_sizes=(1,), include_preprocessing=CENTER, resize=True)
    with pytest.raises(ValueError, match=r"The network takes examples of shape \(8, 8, 3\)\. Received: \(8, 3\)"):
        found(photographs[0])
    with pytest.raises(ValueError, match="There is no picture: the list is empty"):
        found([])


def test_a_network_of_any_size_gets_that_of_the_preprocessing(photographs):
    grey = Preprocessing(resize_size=10, crop_size=8, mean=(0.5,), std=(0.5,))
    model = of_any_size()
    found = Predictor(model, engine="tensorflow", batch_sizes=(1,), include_preprocessing=grey, resize=True)
    assert set(found._calls) == {(8, 8, 1)}
    given = [picture[..., :1] for picture in photographs]
    np.testing.assert_allclose(found(given), model(grey(given)), atol=1e-5)


def test_bfloat16_reaches_a_network_behind_its_preprocessing(model):
    scaling = Preprocessing(resize_size=None, crop_size=None)
    found = Predictor(model, engine="tensorflow", precision="bfloat16", batch_sizes=(2,), include_preprocessing=scaling)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    expected = np.asarray(model(scaling(pixels))["policy"])
    difference = np.abs(found(pixels)["policy"] - expected).max() / np.abs(expected).max()
    assert 1e-5 < difference < 0.05


def heads():
    """A network that gives a list, whose names are those of activations that do nothing."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    outputs = [keras.layers.Activation("linear", name=name)(keras.layers.Dense(units)(x))
               for name, units in (("value", 1), ("policy", 5))]  # fmt: skip
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("engine", ["tensorflow", "openvino", "onnxruntime", "litert"])
@pytest.mark.parametrize("scaling", [None, Preprocessing(resize_size=None, crop_size=None)])
def test_outputs_of_a_list_keep_their_names(engine, scaling):
    needs(engine)
    model = heads()
    found = Predictor(model, engine=engine, batch_sizes=(2,), include_preprocessing=scaling or False)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    given = pixels if scaling else pixels.astype("float32")
    answer = found(given)
    value, policy = model(scaling(pixels) if scaling else given)
    assert set(answer) == {"value", "policy"}
    np.testing.assert_allclose(answer["value"], value, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer["policy"], policy, rtol=1e-4, atol=1e-4)


def test_outputs_of_one_name_are_refused():
    inputs = keras.Input((8, 8, 3))
    twice = heads()(inputs)
    model = keras.Model(inputs, twice)
    assert len(fold(model).outputs) == 2
    with pytest.raises(ValueError, match=r"names of their own\. Received: (functional.*), \1\. Give them as a d"):
        Predictor(model, engine="tensorflow", batch_sizes=(1,))


def test_differences_see_what_is_not_a_number():
    good, bad = np.ones((3, 2)), np.array([[1, 1], [1, np.nan], [1, 1.0]])
    assert differences.relative_difference([bad], [good]) == np.inf
    assert np.isnan(differences.relative_difference([good, good], [good, bad]))
    assert np.isnan(differences.relative_difference([good, good], [bad, good]))
    assert differences.other_classes([bad], [good]) == 1


def test_a_lone_number_is_no_class():
    expected = np.array([[1.0], [-2.0], [0.5], [1.5]])
    assert differences.other_classes([expected + 0.1], [expected]) == 0
    assert differences.other_classes([expected * [[1], [-1], [1], [0.5]]], [expected]) == 0.5


def test_no_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="the path of a run folder or an export. Received: 3"):
        Predictor(3, engine="tensorflow")
    with pytest.raises(ValueError, match="is no finished run"):
        Predictor(tmp_path, engine="tensorflow")


def test_examples_are_what_a_network_takes():
    words = example_inputs(of_words(), 50)
    assert (words.dtype, words.min() >= 0, 20 < words.max() < 30) == (np.int32, True, True)
    with pytest.raises(ValueError, match=r"must be known\. Received: shape \(None, None, 1\)\. Give shape\."):
        example_inputs(of_any_size(), 1)


def test_int8_answers_with_the_classes_of_keras():
    pytest.importorskip("onnxruntime")
    model = two_outputs()
    x = pictures(200)
    policy = np.sort(np.asarray(model(x)["policy"]), axis=1)
    # An untrained network hardly prefers a class; these are the pictures of which it is surest.
    x = x[np.argsort(policy[:, -2] - policy[:, -1])[:32]]
    found = Predictor(model, engine="onnxruntime", precision="int8", batch_sizes=(1, 4), calibrate=x)
    assert found.precision == "int8"
    answer, expected = found(x), model(x)
    difference = np.abs(answer["policy"] - np.asarray(expected["policy"])).max()
    assert 1e-6 < difference < 0.1 * np.abs(np.asarray(expected["policy"])).max()
    chosen = Predictor(model, precision="int8", batch_sizes=(4,), calibrate=x)
    assert chosen.engine in ("openvino", "onnxruntime", "litert")
    assert "tensorflow does not compute in int8" in chosen.why


def test_int8_wants_examples_and_an_engine_that_has_it(model):
    with pytest.raises(ValueError, match="precision='int8' needs examples, by which the ranges of the activations"):
        Predictor(model, precision="int8")
    with pytest.raises(ValueError, match="saved_model has no int8"):
        Predictor(model, engine="tensorflow", precision="int8", calibrate=pictures(2))
    with pytest.raises(ValueError, match="calibrate is for precision='int8' of a model. Received: precision='float32'"):
        Predictor(model, calibrate=pictures(2))
    with pytest.raises(ValueError, match=r"The network takes examples of shape \(8, 8, 3\)"):
        Predictor(model, engine="litert", precision="int8", calibrate=pictures(2)[:, 1:])

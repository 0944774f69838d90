"""The predictor: any number of examples, any thread, the engine that is fastest and right."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from deploy.networks import of_any_size, of_words, pictures, two_outputs

from zoo.deploy import Predictor, engines, example_inputs, predictor
from zoo.weights import Preprocessing


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
    found.close()
    assert future.done()
    with pytest.raises(RuntimeError, match="The predictor was closed; it takes no more examples"):
        found.submit(pictures(1)[0])
    assert "zoo-predictor" not in {thread.name for thread in threading.enumerate() if thread is found._requests._thread}


def test_shapes_are_compiled_as_they_come():
    model = of_any_size()
    found = Predictor(model, engine="tensorflow", batch_sizes=(2,))
    for shape in ((6, 5, 1), (9, 9, 1)):
        x = pictures(3, shape)
        np.testing.assert_allclose(found(x), model(x), atol=1e-5)
    assert set(found._calls) == {(6, 5, 1), (9, 9, 1)}
    with pytest.raises(ValueError, match=r"auto' measures, .*\(None, None, 1\)\. Give input_shape, or name an engine"):
        Predictor(model)


def test_the_fastest_engine_that_agrees_is_taken(monkeypatch):
    """One engine answers wrong, one fails, one is slow; all of them run."""
    import dataclasses
    import time

    own = engines.ENGINES["tensorflow"]

    def changed(name, change):
        def start(*arguments):
            run = own.start(*arguments)
            return lambda images: change(run, images)

        return dataclasses.replace(own, name=name, start=start)

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


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"batch_sizes": ()}, r"batch_sizes must be whole numbers, at least 1\. Received: batch_sizes=\(\)"),
        ({"max_delay_seconds": -1}, r"max_delay_seconds must be at least 0\. Received: max_delay_seconds=-1"),
        ({"engine": "caffe"}, "engine must be one of"),
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
    with pytest.raises(ValueError, match="The network takes uint8. Received: float32"):
        found(pixels.astype("float32"))
    with pytest.raises(ValueError, match="A model does not say what its preprocessing is"):
        Predictor(model, engine="tensorflow", include_preprocessing=True)


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

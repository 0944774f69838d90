"""Every engine that is installed answers as Keras does; what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest
from deploy.networks import needs, of_any_size, of_words, pictures, two_outputs

import zoo
from zoo.deploy import engines, fold

PAIRS = [(name, precision) for name, engine in engines.ENGINES.items() for precision in engine.precisions]


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_engines_answer_as_keras_does(name, precision):
    needs(name)
    tolerance = {"float32": 1e-5, "bfloat16": 0.03}[precision]
    model, x = two_outputs(), pictures(2)
    found = engines.compile(model, name, precision, 2)(x)
    expected = {key: np.asarray(value) for key, value in model(x).items()}
    assert list(found) == ["value", "policy"]
    for key, value in found.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected[key], atol=tolerance * np.abs(expected[key]).max())


@pytest.mark.parametrize("name", engines.ENGINES)
def test_engines_read_words_and_keep_earlier_answers(name):
    needs(name)
    model = of_words()
    call = engines.compile(model, name, batch_size=1)
    one, two = (np.full((1, 12), number, "int32") for number in (3, 7))
    first = call(one)
    call(two)
    np.testing.assert_allclose(first, model(one), atol=1e-5)


@pytest.mark.parametrize("name", engines.ENGINES)
def test_a_network_is_converted_once_for_all_sizes_of_batch(name):
    needs(name)
    model, converted = two_outputs(), []
    engine = engines.ENGINES[name]
    counting = replace(engine, convert=lambda graph: (converted.append(graph.shape), engine.convert(graph))[1])
    prepared = engines.Prepared(model, counting, "float32")
    for size in (1, 3):
        x = pictures(size)
        found, expected = prepared.compile(size, None, (8, 8, 3))(x), model(x)
        np.testing.assert_allclose(found["policy"], expected["policy"], atol=1e-5)
    assert converted == [(None, 8, 8, 3)]


def test_no_graph_holds_weights_as_constants():
    model = two_outputs()
    for name, engine in engines.ENGINES.items():
        graph = engine.graph(model, (8, 8, 3))
        kinds = {node.type for node in graph.function.graph.get_operations()}
        assert ("ReadVariableOp" in kinds) == (name != "onnxruntime")
        assert len(graph.weights) == (5 if name == "onnxruntime" else 0)  # of a convolution and two dense layers
        constants = [node.outputs[0].shape for node in graph.function.graph.get_operations() if node.type == "Const"]
        assert max(shape.num_elements() for shape in constants) <= 4  # the vectors of batch norm; kernels have more


def test_what_onnx_does_to_weights_alone_is_done_before():
    needs("onnxruntime")
    import onnx

    engine = engines.ENGINES["onnxruntime"]
    model = fold(two_outputs())
    written = onnx.load_from_string(engine.convert(engine.graph(model, (8, 8, 3))))
    assert [item.name for item in written.graph.input] == ["images"]
    values = {item.name: onnx.numpy_helper.to_array(item) for item in written.graph.initializer}
    (convolution,) = (node for node in written.graph.node if node.op_type == "Conv")
    kernel = np.asarray(model.layers[1].kernel).transpose(3, 2, 0, 1)  # (out, in, height, width) there
    np.testing.assert_array_equal(values[convolution.input[1]], kernel)
    np.testing.assert_array_equal(values[convolution.input[2]].ravel(), model.layers[1].bias)
    onnx.checker.check_model(written)


@pytest.mark.parametrize("name", ["densenet_bc100_k12", "mobilenet_v3_small"])
def test_onnx_turns_the_axes_of_no_map_but_the_first_and_the_last(name):
    """Batch norms before activations, and sums with a number, are between convolutions; each transposition costs."""
    needs("onnxruntime")
    import onnx

    model = zoo.create_model(name, input_shape=(32, 32, 3))
    engine = engines.ENGINES["onnxruntime"]
    written = onnx.load_from_string(engine.convert(engine.graph(fold(model), (32, 32, 3))))
    assert sum(node.op_type == "Transpose" for node in written.graph.node) <= 2


def test_weights_of_convolutions_are_kept_in_bfloat16():
    engine = engines.ENGINES["tensorflow"]
    prepared = engines.Prepared(two_outputs(), engine, "bfloat16")
    kept = {layer.name: str(layer.kernel.dtype) for layer in prepared._model.layers if layer.weights}
    assert sorted(kept.values()) == ["bfloat16", "float32", "float32"]
    assert (kept["value"], kept["policy"]) == ("float32", "float32")  # which give the answers


def test_a_size_that_is_not_fixed_is_given():
    model = of_any_size()
    with pytest.raises(ValueError, match=r"must be known\. Received: shape \(None, None, 1\)\. Give input_shape\."):
        engines.compile(model)
    x = pictures(1, (9, 7, 1))
    np.testing.assert_allclose(engines.compile(model, input_shape=(9, 7, 1))(x), model(x), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"engine": "caffe"}, r"engine must be one of 'tensorflow', 'openvino', .*Received: engine='caffe'"),
        ({"precision": "int8"}, r"precision must be one of .*For int8 write a file by zoo\.deploy\.export"),
        ({"engine": "litert", "precision": "bfloat16"}, r"litert does not compute in bfloat16\. Engines that do: t"),
        ({"batch_size": 0}, r"batch_size must be a whole number, at least 1\. Received: batch_size=0"),
        ({"threads": 1.5}, r"threads must be a whole number, at least 1\. Received: threads=1\.5"),
    ],
)
def test_what_cannot_be_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        engines.compile(two_outputs(), **arguments)


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None if "openvino" in name else name)
    assert "openvino" not in engines.installed()
    with pytest.raises(ValueError, match="openvino needs openvino, which is not installed: pip install openvino"):
        engines.find("openvino")


def test_tensorflow_cannot_change_its_threads_once_it_runs():
    zoo.create_model("simple_cnn")(pictures(1, (28, 28, 1)))
    with pytest.raises(ValueError, match=r"Received: threads=77\. Call tf\.config.*TF_NUM_INTRAOP_THREADS=77"):
        engines.compile(two_outputs(), "tensorflow", threads=77)

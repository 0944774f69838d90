"""Networks of other libraries that are the same as ours, and the forms that each can be run in.

`keras.applications` runs as a compiled function, the best that it has. PyTorch's networks run as they are, with
channels last, and through `torch.compile`, which can also freeze the weights. `openvino` and `onnxruntime` stand for
our network as Keras's own `export` gives it to these runtimes, without what `zoo.deploy` does to it.
"""

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Call = Callable[[np.ndarray], Any]

# Ours, then the same network elsewhere; None where there is none.
_NETWORKS = (
    # ours                 keras.applications    torchvision            timm
    ("alexnet",             None,                "alexnet",             None),
    ("densenet121",         "DenseNet121",       "densenet121",         "densenet121"),
    ("densenet161",         None,                "densenet161",         "densenet161"),
    ("densenet169",         "DenseNet169",       "densenet169",         "densenet169"),
    ("densenet201",         "DenseNet201",       "densenet201",         "densenet201"),
    ("googlenet",           None,                "googlenet",           None),
    ("inception_resnet_v2", "InceptionResNetV2", None,                  "inception_resnet_v2"),
    ("inception_v3",        "InceptionV3",       "inception_v3",        "inception_v3"),
    ("inception_v4",        None,                None,                  "inception_v4"),
    ("mobilenet",           "MobileNet",         None,                  "mobilenetv1_100"),
    ("mobilenet_v2",        "MobileNetV2",       "mobilenet_v2",        "mobilenetv2_100"),
    ("mobilenet_v3_large",  "MobileNetV3Large",  "mobilenet_v3_large",  "mobilenetv3_large_100"),
    ("mobilenet_v3_small",  "MobileNetV3Small",  "mobilenet_v3_small",  "mobilenetv3_small_100"),
    ("resnet18",            None,                "resnet18",            "resnet18"),
    ("resnet34",            None,                "resnet34",            "resnet34"),
    ("resnet50",            "ResNet50",          "resnet50",            "resnet50"),
    ("resnet50_v2",         "ResNet50V2",        None,                  "resnetv2_50"),
    ("resnet101",           "ResNet101",         "resnet101",           "resnet101"),
    ("resnet101_v2",        "ResNet101V2",       None,                  "resnetv2_101"),
    ("resnet152",           "ResNet152",         "resnet152",           "resnet152"),
    ("resnet152_v2",        "ResNet152V2",       None,                  "resnetv2_152"),
    ("resnext50_32x4d",     None,                "resnext50_32x4d",     "resnext50_32x4d"),
    ("squeezenet1_0",       None,                "squeezenet1_0",       None),
    ("squeezenet1_1",       None,                "squeezenet1_1",       None),
    ("vgg11",               None,                "vgg11",               "vgg11"),
    ("vgg13",               None,                "vgg13",               "vgg13"),
    ("vgg16",               "VGG16",             "vgg16",               "vgg16"),
    ("vgg16_bn",            None,                "vgg16_bn",            "vgg16_bn"),
    ("vgg19",               "VGG19",             "vgg19",               "vgg19"),
    ("wide_resnet50_2",     None,                "wide_resnet50_2",     "wide_resnet50_2"),
)  # fmt: skip

LIBRARIES = ("keras.applications", "torchvision", "timm")
_RUNTIMES = ("openvino", "onnxruntime")
PEERS = (*LIBRARIES, *_RUNTIMES)
NETWORKS = {row[0]: dict(zip(LIBRARIES, row[1:], strict=True)) for row in _NETWORKS}

# What a network of keras.applications needs to be the bare network.
KERAS_ARGUMENTS = {name: {"include_preprocessing": False} for name in ("MobileNetV3Large", "MobileNetV3Small")}
_TORCHVISION_ARGUMENTS = {name: {"aux_logits": False, "init_weights": False} for name in ("googlenet", "inception_v3")}

OURS = "zoo"
COMPILED_FUNCTION = "compiled function"
EXPORTED = "Keras's export"
_TORCH_FORMS = ("eager", "eager, channels last", "compiled", "compiled, channels last", "compiled, frozen")
_FORMS = {
    "keras.applications": (COMPILED_FUNCTION,),
    "torchvision": _TORCH_FORMS,
    "timm": _TORCH_FORMS,
    "openvino": (EXPORTED,),
    "onnxruntime": (EXPORTED,),
}
_PRECISIONS = dict.fromkeys(PEERS, ("float32", "bfloat16")) | {"onnxruntime": ("float32",)}
_PACKAGES = {
    "keras.applications": ("keras",),
    "torchvision": ("torch", "torchvision"),
    "timm": ("torch", "timm"),
    "openvino": ("openvino", "scipy"),
    "onnxruntime": ("onnxruntime", "onnx", "tf2onnx"),
}


def is_run(model: str) -> bool:
    """Whether it is the path of a run folder rather than a registered name."""
    return os.path.exists(os.path.join(model, "config.json"))


def check(peer: str, model: str) -> None:
    """Refuse a peer that cannot be measured against a model of ours.

    Args:
        peer: One of `PEERS`.
        model: Our name of the network, or the path of a run.

    Raises:
        ValueError: There is no such peer, it lacks the network, or a package is not installed.
    """
    if peer not in PEERS:
        raise ValueError(f"A peer must be one of {', '.join(PEERS)}. Received: {peer}")
    if peer in LIBRARIES and NETWORKS.get(model, {}).get(peer) is None:
        have = [name for name, theirs in NETWORKS.items() if theirs[peer]]
        raise ValueError(f"{peer} has no {model} that is the same network as ours. It has: {', '.join(have)}")
    missing = [package for package in _PACKAGES[peer] if importlib.util.find_spec(package) is None]
    if missing:
        raise ValueError(f"The peer {peer} needs packages that are not installed: pip install {' '.join(missing)}")


def forms(peer: str, precision: str) -> tuple[str, ...]:
    """The forms of a peer in a precision; none where it does not have that."""
    return _FORMS[peer] if precision in _PRECISIONS[peer] else ()


def network(peer: str, model: str, precision: str) -> Any:
    """The network of a library as it comes, with random weights.

    Args:
        peer: "keras.applications", "torchvision" or "timm".
        model: Our name of it.
        precision: "float32" or "bfloat16".

    Returns:
        A `keras.Model`, or a `torch.nn.Module` in evaluation.
    """
    theirs = NETWORKS[model][peer]
    assert theirs, f"{peer} has no {model}"
    if peer == "keras.applications":
        import keras

        keras.config.set_dtype_policy(precision)
        return getattr(keras.applications, theirs)(weights=None, **KERAS_ARGUMENTS.get(theirs, {}))
    import torch

    library = import_torch(peer)
    if peer == "torchvision":
        net = library.models.get_model(theirs, weights=None, **_TORCHVISION_ARGUMENTS.get(theirs, {}))
    else:
        net = library.create_model(theirs, pretrained=False)
    return net.eval().to(getattr(torch, precision))


def count_params(net: Any) -> int:
    """Trainable numbers of a network that `network` made."""
    if hasattr(net, "trainable_variables"):
        return sum(int(np.prod(variable.shape)) for variable in net.trainable_variables)
    return sum(parameter.numel() for parameter in net.parameters())


def compiler(
    peer: str, form: str, net: Any, precision: str, processors: int
) -> Callable[[tuple[int, ...]], tuple[Call, Any]]:
    """What readies a network of a peer for inputs of a shape.

    Args:
        peer: One of `PEERS`.
        form: One of its forms.
        net: The network; ours in float32, a `keras.Model`, for a runtime.
        precision: "float32" or "bfloat16", that of the network of a library.
        processors: Number of threads.

    Returns:
        A function of the inputs' shape (n, height, width, channels) that gives the call, which ends when its result is
        there, and inputs in the form that the peer takes.
    """
    if peer == "keras.applications":
        return lambda shape: _keras_call(net, shape)
    if peer == "openvino":
        return lambda shape: _openvino_call(net, shape, precision, processors)
    if peer == "onnxruntime":
        return lambda shape: _onnxruntime_call(net, shape, processors)
    import torch

    torch.set_num_threads(processors)
    return lambda shape: _torch_call(net, form, shape)


def pictures(shape: Sequence[int]) -> np.ndarray:
    """Random pictures in float32."""
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _keras_call(model: Any, shape: tuple[int, ...]) -> tuple[Call, Any]:
    import tensorflow as tf

    function = tf.function(
        lambda inputs: model(inputs, training=False), input_signature=[tf.TensorSpec(shape, tf.float32)]
    )
    return lambda inputs: np.asarray(function(tf.constant(inputs))), pictures(shape)


def _torch_call(net: Any, form: str, shape: tuple[int, ...]) -> tuple[Call, Any]:
    import torch

    parameter = next(net.parameters())
    inputs = torch.from_numpy(pictures(shape)).permute(0, 3, 1, 2).contiguous().to(parameter.dtype)
    if "channels last" in form:
        net = net.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    if form.startswith("compiled"):
        import torch._inductor.config

        torch._inductor.config.freezing = "frozen" in form
        net = torch.compile(net, dynamic=False)

    def call(values: Any) -> Any:
        with torch.no_grad():
            return net(values)

    return call, inputs


def _openvino_call(model: Any, shape: tuple[int, ...], precision: str, processors: int) -> tuple[Call, Any]:
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.xml")
        model.export(path, format="openvino", verbose=False)
        network = openvino.Core().read_model(path)
        network.reshape(list(shape))
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": processors,
        }
        compiled = openvino.Core().compile_model(network, "CPU", options)
    return lambda inputs: compiled(inputs)[0], pictures(shape)


def _onnxruntime_call(model: Any, shape: tuple[int, ...], processors: int) -> tuple[Call, Any]:
    import keras
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        # Without a signature Keras wants the model to have been called before.
        signature = [keras.InputSpec(shape=shape, dtype="float32")]
        model.export(path, format="onnx", verbose=False, input_signature=signature)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})[0], pictures(shape)


def import_torch(name: str) -> Any:
    """torchvision or timm; where torchvision's compiled operators are missing, their names are declared for it."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module(name)

"""`weights=` from a server to the outputs: files as each source publishes them, written by its own library.

The values are random, the names, the layout and the format are theirs. A server on this machine stands in for the
source; the record of the weights gets the hash of the file, so that it is compared as for the real one.
"""

import dataclasses
import gc
import urllib.parse

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

import zoo
from zoo.files import sha256
from zoo.weights import cache, open_weights
from zoo.weights import published as table

SIZES = [(96, 96), (97, 129)]
# Networks that the default run takes, one of each source; the others take too long for it.
QUICK = {("squeezenet1_1", "torchvision"), ("mobilenet_v3_small_050", "timm"), ("mobilenet", "keras")}
TIMM = {
    "resnet18_v2": "resnetv2_18", "resnet34_v2": "resnetv2_34", "resnet50_v2": "resnetv2_50",
    "resnet101_v2": "resnetv2_101", "mobilenet_v2": "mobilenetv2_100", "mobilenet_v2_050": "mobilenetv2_050",
    "mobilenet_v2_140": "mobilenetv2_140", "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100", "mobilenet_v3_small_075": "mobilenetv3_small_075",
    "mobilenet_v3_small_050": "mobilenetv3_small_050",
}  # fmt: skip
KERAS = {
    "vgg16": "VGG16", "vgg19": "VGG19", "resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152",
    "densenet121": "DenseNet121", "densenet169": "DenseNet169", "densenet201": "DenseNet201", "mobilenet": "MobileNet",
    "inception_v3": "InceptionV3", "inception_resnet_v2": "InceptionResNetV2",
}  # fmt: skip


def rows():
    """One set of weights for each network and source of the table; the others have the same names and shapes."""
    return {(row.model, row.source): row for row in reversed(table.published())}


def smallest():
    """The cheapest network of each family that a source has, for what the larger ones share with it."""
    found = {}
    for model, source in sorted(rows(), key=lambda pair: zoo.model_card(pair[0]).num_macs):
        found.setdefault((zoo.model_card(model).family, source), (model, source))
    return set(found.values())


SMALLEST = smallest()
# Files of more parameters take CI minutes, and smaller networks of the same family and source have their layers; VGG-11
# those of VGG without batch norm.
LARGE = 80e6


def networks():
    for (model, source), row in sorted(rows().items()):
        marks = [] if (model, source) in QUICK else [pytest.mark.slow]
        if zoo.model_card(model).num_params > LARGE and (model, source) not in SMALLEST and model != "vgg11":
            marks.append(pytest.mark.exhaustive)
        yield pytest.param(row, id=f"{model}-{source}", marks=marks)


def test_each_of_the_published_weights_is_of_a_network_that_is_compared():
    """docs/weights.md says of each row which test compares it, by this name."""
    compared = {item.id for item in networks()}
    assert {f"{row.model}-{row.source}" for row in table.published()} == compared


class Torchvision:
    def __init__(self, peer, row):
        models = peer.torchvision().models
        builder = getattr(models, row.model)
        options = {}
        if row.model in ("googlenet", "inception_v3"):
            options = {"init_weights": False, "transform_input": row.input_transform is not None, "aux_logits": True}
        self.net = peer.randomise_torch(builder(**options))

    def write(self, path):
        import torch

        torch.save(self.net.state_dict(), path)

    def __call__(self, pictures):
        import torch

        with torch.no_grad():
            return self.net(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())).numpy()

    def grey(self, pictures, path):
        return self(np.repeat(pictures, 3, axis=-1))


class Timm(Torchvision):
    def __init__(self, peer, row):
        peer.torchvision()
        self.timm = pytest.importorskip("timm", reason="timm is not installed")
        self.name = TIMM.get(row.model, row.model)
        assert f"/timm/{self.name}." in row.url
        self.net = peer.randomise_torch(self.timm.create_model(self.name, pretrained=False))

    def write(self, path):
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in self.net.state_dict().items()}, path)

    def grey(self, pictures, path):
        """timm's own network for one channel, filled and adapted by timm."""
        overlay = {"file": str(path), "hf_hub_id": None, "url": ""}
        own = self.timm.create_model(self.name, pretrained=True, in_chans=1, pretrained_cfg_overlay=overlay)
        colour, self.net = self.net, own.eval()
        try:
            return self(pictures)
        finally:
            self.net = colour


class Keras:
    """keras.applications; its networks have one size each."""

    def __init__(self, peer, row):
        self.function = getattr(keras.applications, KERAS[row.model])
        self.net = peer.randomise_keras(self.build((224, 224) if row.model.startswith("vgg") else SIZES[0]))

    def build(self, size):
        return self.function(weights=None, classifier_activation=None, input_shape=(*size, 3))

    def write(self, path):
        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, self.net)

    def __call__(self, pictures):
        size = pictures.shape[1:3]
        if self.net.input_shape[1:3] != size:
            other = self.build(size)
            other.set_weights(self.net.get_weights())
            self.net = other
        return np.asarray(self.net(pictures, training=False))

    def grey(self, pictures, path):
        return self(np.repeat(pictures, 3, axis=-1))


PEERS = {"torchvision": Torchvision, "timm": Timm, "keras": Keras}


@pytest.fixture(autouse=True)
def no_networks_left():
    """Some have half a gigabyte, several times in a test; their graphs refer to themselves."""
    yield
    gc.collect()


@pytest.fixture
def publish(peer, server, tmp_path, monkeypatch):
    """A function that lets the server offer a file of the peer's for a row; gives the peer, the row and its path."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    for source in PEERS:
        monkeypatch.setenv(f"ZOO_MIRROR_{source.upper()}", server.url)

    def published(row):
        if row.source != "keras":
            pytest.importorskip("torch", reason="the extra `torch` is not installed")
        theirs = PEERS[row.source](peer, row)
        file = tmp_path / f"published.{row.kind}"
        theirs.write(file)
        row = dataclasses.replace(row, sha256_prefix=sha256(file)[:16], md5="")
        monkeypatch.setattr(table, "published", lambda: (row,))
        server.files[urllib.parse.urlsplit(row.url).path] = file.read_bytes()
        return theirs, row, file

    return published


def sizes_of(row):
    return [(224, 224)] if row.source == "keras" and row.model.startswith("vgg") else SIZES


def build(row, size, channels=3, **options):
    return zoo.create_model(row.model, weights=row.tag, classifier_activation=None,
                            **{"input_shape": (*size, channels), **options})  # fmt: skip


def as_ours(row, pictures):
    """What our network gets where theirs gets `pictures`: torchvision's last step is in our preprocessing."""
    if row.input_transform is None:
        return pictures
    scale, offset = (np.asarray(item, "float32") for item in row.input_transform)
    return pictures * scale + offset


@pytest.mark.parametrize("row", [*networks()])
def test_the_outputs_are_those_of_the_source(peer, publish, server, row, caplog):
    """At one size for each; the smallest of a family at another too, and in other forms."""
    theirs, row, file = publish(row)
    is_smallest = (row.model, row.source) in SMALLEST
    for size in sizes_of(row)[: None if is_smallest else 1]:
        model = build(row, size)
        pictures = peer.pictures(size)
        assert peer.relative(theirs(pictures), model(as_ours(row, pictures), training=False)) < 1e-4
    assert told(caplog) == []
    if is_smallest:
        check_other_heads(row, model, caplog)
        if row.input_transform is None:
            grey = pictures[..., :1].copy()
            assert peer.relative(theirs.grey(grey, file), build(row, size, channels=1)(grey, training=False)) < 1e-4
    assert len(server.requests) == 1


def told(caplog):
    """What was logged by us; Keras's own grouped convolutions make TensorFlow warn."""
    return [record.getMessage() for record in caplog.records if record.name == "zoo"]


def check_other_heads(row, model, caplog):
    """Without the head, and with one for ten classes, which is drawn anew."""
    size = model.input_shape[1:3]
    whole = {variable.path: variable for variable in model.weights}
    body = build(row, size, include_top=False)
    other = build(row, size, classes=10)
    assert other.output_shape == (None, 10)
    (new,) = {variable.path.split("/")[0] for variable in other.weights if variable.shape != whole[variable.path].shape}
    assert new in ("logits", "conv10")
    for variable in [*body.weights, *other.weights]:
        if not variable.path.startswith(new):
            np.testing.assert_array_equal(variable, whole[variable.path])
    assert told(caplog) == [f"{row.model}:{row.tag} with 10 classes: new, to be trained: {new}"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("inception_v3", (299, 299)), ("googlenet", (96, 96))])
def test_auxiliary_classifiers_come_with_the_weights(peer, publish, name, size):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    theirs, row, _ = publish(table.find(name, "torchvision"))
    model = build(row, size, aux=True)
    pictures = peer.pictures(size)
    theirs.net.training = True  # of the outermost module alone: it then runs the auxiliary classifiers
    with torch.no_grad():
        outputs = theirs.net(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()))
    names = {"googlenet": {"aux1": "aux_logits1", "aux2": "aux_logits2"}, "inception_v3": {"aux1": "aux_logits"}}[name]
    answers = model(as_ours(row, pictures), training=False)
    assert set(answers) == {"predictions", *names}
    for ours, values in answers.items():
        assert peer.relative(getattr(outputs, names.get(ours, "logits")), values) < 1e-4, ours


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_the_input_transform_is_part_of_the_preprocessing(peer, publish, name):
    """Pixels through `zoo.preprocessor`, against torchvision's mean and deviation, then its `transform_input`."""
    theirs, row, _ = publish(table.find(name, "torchvision"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), "uint8")
    normalised = ((pixels / 255 - row.mean) / row.std).astype("float32")
    model = build(row, (96, 96), include_preprocessing=True)
    assert peer.relative(theirs(normalised), model(pixels, training=False)) < 1e-4


@pytest.mark.parametrize("row", [item for item in networks() if tuple(item.id.split("-")) in QUICK])
def test_the_path_of_a_user(publish, server, row, caplog):
    """Fetched and converted once, read from the cache then; damage is found, told and mended."""
    _, row, _ = publish(row)
    first = build(row, (96, 96))
    assert server.requests == [urllib.parse.urlsplit(row.url).path]
    second = build(row, (96, 96))
    assert len(server.requests) == 1

    file = open_weights(cache.folder_of(row)).path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    caplog.clear()
    third = build(row, (96, 96))
    assert len(server.requests) == 2
    (message,) = told(caplog)
    assert f"The cached weights {row.model}:{row.tag} are fetched again. {file} is damaged" in message
    for weights in zip(first.weights, second.weights, third.weights, strict=True):
        np.testing.assert_array_equal(weights[0], weights[1])
        np.testing.assert_array_equal(weights[0], weights[2])

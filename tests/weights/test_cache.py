"""Published weights on this machine: the whole path of a user, against a real server, and what can go wrong on it."""

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save

import zoo
from zoo import builder
from zoo.drawing import undrawn
from zoo.files import sha256
from zoo.weights import cache, input_channels, open_weights
from zoo.weights.download import DownloadError
from zoo.weights.published import find

URL_PATH = "/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
ROOT = Path(__file__).parents[2]
zoo.list_models()  # the families register themselves


@pytest.fixture
def source(home, server, content, monkeypatch):
    """The server stands in for timm's, with the weights of one model."""
    monkeypatch.setenv("ZOO_MIRROR_TIMM", server.url)
    server.files[URL_PATH] = content
    return server


def body(model):
    return model.get_layer("stem_conv").kernel.numpy()


def tensor_file(home):
    return open_weights(home / "weights" / "resnet18" / "timm.a1").path


def test_the_whole_path_of_a_user(source, home, state, caplog):
    model = zoo.create_model("resnet18", weights="timm.a1")
    assert source.requests == [URL_PATH]
    np.testing.assert_array_equal(body(model), state["conv1.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(model.get_layer("logits").kernel.numpy(), state["fc.weight"].T)
    assert sorted(os.listdir(home / "downloads")) == []

    source.files.clear()
    again = zoo.create_model("resnet18", weights="timm.a1", name="again")
    assert len(source.requests) == 1
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert caplog.records == []

    file = tensor_file(home)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    source.files[URL_PATH] = save(state)
    repaired = zoo.create_model("resnet18", weights="timm.a1", name="repaired")
    assert len(source.requests) == 2
    (record,) = caplog.records
    assert "The cached weights resnet18:timm.a1 are fetched again." in record.getMessage()
    assert "is damaged: its SHA-256 is" in record.getMessage()
    for one, other in zip(model.weights, repaired.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    cache.fetch(find("resnet18", "timm.a1"), builder.build_for_conversion)
    assert len(source.requests) == 2


def test_what_the_manifest_says(warm, content):
    manifest = open_weights(tensor_file(warm)).manifest
    row = find("resnet18", "timm.a1")
    expected = {
        "weights": "resnet18:timm.a1",
        "source": "timm",
        "url": row.url,
        "licence": "apache-2.0",
        "top1": row.top1,
        "top5": row.top5,
        "model": "resnet18",
        "head": ["logits"],
        "num_tensors": 102,
    }
    assert {key: manifest[key] for key in expected} == expected
    pinned = {"url": row.url, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    assert manifest["download"] == pinned
    assert json.loads((warm / "weights/resnet18/timm.a1/download.json").read_text()) == pinned


def test_another_file_than_the_first_one_is_refused(warm, server, state, monkeypatch):
    monkeypatch.setenv("ZOO_MIRROR_TIMM", server.url)
    server.files[URL_PATH] = save({**state, "fc.bias": state["fc.bias"] + 1})
    tensor_file(warm).unlink()
    with pytest.raises(DownloadError, match="is another file than expected") as error:
        zoo.create_model("resnet18", weights="timm.a1")
    pin = warm / "weights/resnet18/timm.a1/download.json"
    assert f"If the publisher has replaced the file, delete {pin} to accept it." in str(error.value)
    pin.unlink()
    model = zoo.create_model("resnet18", weights="timm.a1")
    np.testing.assert_array_equal(model.get_layer("logits").bias.numpy(), state["fc.bias"] + 1)


def test_a_damaged_pin_is_no_pin(warm):
    tensor_file(warm).unlink()
    pin = warm / "weights/resnet18/timm.a1/download.json"
    for text in ("", "{}", "[]", '{"sha256": "0"}', '{"sha256": 5}'):
        pin.write_text(text)
        with pytest.raises(ValueError, match=r"download.json is damaged. Delete it to accept what https://"):
            zoo.create_model("resnet18", weights="timm.a1")


def test_without_network_and_cache_the_message_says_what_to_do(source, home, content, state):
    source.files.clear()
    with pytest.raises(DownloadError) as error:
        zoo.create_model("resnet18", weights="timm.a1")
    place = home / "downloads" / "resnet18-timm.a1.safetensors"
    for text in ("resnet18:timm.a1 are not in the cache and cannot be fetched", "answers 404", f"put it at {place}",
                 "By hand: fetch https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors",
                 "(SHA-256 not published)"):  # fmt: skip
        assert text in str(error.value)
    place.write_bytes(content)
    model = zoo.create_model("resnet18", weights="timm.a1")
    np.testing.assert_array_equal(body(model), state["conv1.weight"].transpose(2, 3, 1, 0))
    assert len(source.requests) == 1


def test_a_file_put_there_by_hand_has_to_be_the_right_one(home):
    row = dataclasses.replace(find("resnet18", "timm.a1"), sha256_prefix="01234567")
    file = cache.download_of(row)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"is not the file that resnet18:timm.a1 is made of: .* expected 01234567"):
        cache.fetch(row, builder.build_for_conversion)


def test_a_known_hash_is_compared(source, content):
    row = dataclasses.replace(find("resnet18", "timm.a1"), sha256_prefix="01234567")
    with pytest.raises(DownloadError, match=r"expected 01234567[\s\S]*SHA-256 begins with 01234567"):
        cache.fetch(row, builder.build_for_conversion)
    assert not cache.is_cached(row)


def test_a_file_that_does_not_fit_is_refused(source, home, state):
    source.files[URL_PATH] = save({key: value for key, value in state.items() if key != "fc.bias"})
    with pytest.raises(ValueError, match=r"does not fit the model 'resnet18'[\s\S]*logits/bias"):
        zoo.create_model("resnet18", weights="timm.a1")
    assert not cache.is_cached(find("resnet18", "timm.a1"))


def test_a_cache_of_another_conversion_is_made_anew(warm, source):
    folder = warm / "weights/resnet18/timm.a1"
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "conversion": 0}))
    zoo.create_model("resnet18", weights="timm.a1")
    assert source.requests == [URL_PATH]
    assert open_weights(folder).manifest["conversion"] == cache.CONVERSION


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(warm, tmp_path, monkeypatch):
    for folder in (warm, *filter(Path.is_dir, warm.rglob("*"))):
        folder.chmod(0o555)
    try:
        zoo.create_model("resnet18", weights="timm.a1")
        with pytest.raises(OSError, match="Permission denied; set the environment variable ZOO_HOME"):
            zoo.create_model("resnet18", weights="timm.a2")
    finally:
        for folder in (warm, *filter(Path.is_dir, warm.rglob("*"))):
            folder.chmod(0o755)


def test_eight_threads_at_once(source, home):
    row = find("resnet18", "timm.a1")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.fetch(row, builder.build_for_conversion), range(8)))
    assert found == [open_weights(cache.folder_of(row))] * 8
    assert source.requests == [URL_PATH]


# They wait for each other before they ask: TensorFlow's start takes longer than the work.
_RACE = """
import hashlib, sys
from pathlib import Path
from zoo.weights import cache, published
import zoo
from zoo.builder import build_for_conversion
zoo.list_models()
print("ready", flush=True)
sys.stdin.readline()
stored = cache.fetch(published.find("resnet18", "timm.a1"), build_for_conversion)
print(hashlib.sha256(stored.path.read_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_eight_processes_at_once(source, home):
    environment = {**os.environ, "ZOO_HOME": str(home), "ZOO_MIRROR_TIMM": source.url, "TF_CPP_MIN_LOG_LEVEL": "3"}
    processes = [
        subprocess.Popen([sys.executable, "-c", _RACE], cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, errors) in zip(processes, answers, strict=True):
        assert process.returncode == 0, errors
    folder = home / "weights" / "resnet18" / "timm.a1"
    stored = open_weights(folder)
    assert sorted(os.listdir(folder)) == ["download.json", "lock", "manifest.json", stored.path.name]
    assert {out.strip() for out, _ in answers} == {stored.manifest["sha256"]}
    assert source.requests == [URL_PATH]


def test_zeros_for_this_thread_and_this_time_alone():
    layers = [keras.layers.Dense(3, name=f"dense{number}") for number in range(3)]
    inside, built = threading.Event(), threading.Event()

    def other():
        inside.wait(10)
        layers[1].build((None, 4))
        built.set()

    thread = threading.Thread(target=other)
    thread.start()
    with undrawn() as redraw:
        layers[0].build((None, 4))
        norm = keras.layers.BatchNormalization()
        norm.build((None, 4))
        inside.set()
        assert built.wait(10)
    thread.join()
    layers[2].build((None, 4))
    is_zero = [not layer.kernel.numpy().any() for layer in layers]
    assert is_zero == [True, False, False]
    assert not norm.gamma.numpy().any()
    redraw(norm.gamma)
    redraw(layers[0].kernel)
    redraw(layers[1].kernel)
    assert norm.gamma.numpy().all()
    assert layers[0].kernel.numpy().all()


def test_other_classes_keep_the_body(warm, state, caplog):
    model = zoo.create_model("resnet18", weights="timm.a1", classes=10)
    assert model.output_shape == (None, 10)
    np.testing.assert_array_equal(body(model), state["conv1.weight"].transpose(2, 3, 1, 0))
    assert model.get_layer("logits").kernel.numpy().std() > 0.01
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "resnet18:timm.a1 with 10 classes: new, to be trained: logits"
    ]


def test_without_the_head(warm, state, caplog):
    features = zoo.create_model("resnet18", weights="timm.a1", include_top=False, pooling="avg")
    full = zoo.create_model("resnet18", weights="timm.a1", classifier_activation=None, input_shape=(64, 64, 3))
    inputs = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    logits = np.asarray(features(inputs)) @ state["fc.weight"].T + state["fc.bias"]
    np.testing.assert_allclose(full(inputs), logits, rtol=1e-4, atol=1e-4)
    assert caplog.records == []


@pytest.mark.parametrize("channels", [1, 4])
def test_other_input_channels(warm, state, caplog, channels):
    model = zoo.create_model("resnet18", weights="timm.a1", input_shape=(64, 64, channels))
    expected = input_channels(state["conv1.weight"].transpose(2, 3, 1, 0), channels)
    np.testing.assert_allclose(body(model), expected)
    assert [record.getMessage() for record in caplog.records] == [
        f"resnet18:timm.a1 with {channels} input channels: adapted: stem_conv"
    ]


def test_on_layers_of_the_user(warm, state):
    source = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(3, 1, name="mine")(source)
    model = zoo.create_model("resnet18", weights="timm.a1", input_tensor=x, include_top=False)
    np.testing.assert_array_equal(body(model), state["conv1.weight"].transpose(2, 3, 1, 0))
    assert model.get_layer("mine").kernel.numpy().any()


def test_a_policy_of_half_precision(warm, state):
    keras.config.set_dtype_policy("mixed_float16")
    model = zoo.create_model("resnet18", weights="timm.a1")
    assert model.get_layer("stem_conv").compute_dtype == "float16"
    np.testing.assert_array_equal(body(model), state["conv1.weight"].transpose(2, 3, 1, 0))


def test_knobs_that_do_not_fit(warm):
    with pytest.raises(ValueError, match=r"does not fit the model 'resnet18'"):
        zoo.create_model("resnet18", weights="timm.a1", stem="cifar")
    with pytest.raises(
        ValueError, match=r"The weights 'timm.a1' are for variant='published'. Received: variant='paper'"
    ):
        zoo.create_model("resnet18", weights="timm.a1", variant="paper")
    assert zoo.create_model("resnet18", weights="timm.a1", output_stride=8, drop_path=0.1).output_shape == (None, 1000)


def test_weights_that_need_a_knob_bring_it(home, content):
    row = dataclasses.replace(find("resnet18", "timm.a1"), knobs={"output_stride": 8})
    file = cache.download_of(row)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    folder = cache.fetch(row, builder.build_for_conversion).path.parent
    assert open_weights(folder).manifest["knobs"] == {"output_stride": 8}
    for knobs in ({}, {"output_stride": 8}):
        for build in (partial(zoo.create_model, "resnet18"), zoo.models.resnet18):
            model = build(weights=folder, include_top=False, input_shape=(64, 64, 3), **knobs)
            assert model.output_shape == (None, 8, 8, 512)
    with pytest.raises(ValueError, match="are for output_stride=8. Received: output_stride=32. Leave out one of the"):
        zoo.create_model("resnet18", weights=folder, output_stride=32)


def test_an_md5_is_compared(source, content):
    row = dataclasses.replace(find("resnet18", "timm.a1"), md5="0" * 32)
    with pytest.raises(DownloadError, match=r"its MD5 is [0-9a-f]{32}, expected 0{32}[\s\S]*MD5 0{32}\)"):
        cache.fetch(row, builder.build_for_conversion)
    file = cache.download_of(row)
    file.write_bytes(content)
    with pytest.raises(ValueError, match="is not the file that resnet18:timm.a1 is made of"):
        cache.fetch(row, builder.build_for_conversion)
    right = dataclasses.replace(row, md5=hashlib.md5(content).hexdigest())
    assert cache.fetch(right, builder.build_for_conversion).manifest["download"]["size"] == len(content)


def test_bad_arguments_are_refused_before_anything_is_fetched(source):
    for arguments in ({"input_shape": (0, 64, 3)}, {"classes": 0}, {"pooling": "sum"}):
        with pytest.raises(ValueError, match="Received"):
            zoo.create_model("resnet18", weights="timm.a1", **arguments)
    assert source.requests == []


def test_the_loaded_model_answers_as_the_file_says(warm, state):
    """The first convolution, batch norm and activation, computed by hand at one place."""
    model = zoo.create_model("resnet18", weights="timm.a1", input_shape=(64, 64, 3))
    inputs = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    actual = zoo.features(model, ["stem"])(inputs)["stem"]
    patch = inputs[0, 7:14, 7:14].transpose(2, 0, 1)  # centre (10, 10) = 2 * 5: output place (5, 5)
    value = (state["conv1.weight"] * patch).sum((1, 2, 3)) - state["bn1.running_mean"]
    value *= state["bn1.weight"] / np.sqrt(state["bn1.running_var"] + 1e-5)
    np.testing.assert_allclose(actual[0, 5, 5], np.maximum(value + state["bn1.bias"], 0), rtol=1e-4, atol=1e-5)


def test_the_cards_know_the_tags():
    assert zoo.model_card("resnet18").weights[:2] == ("torchvision", "timm.a1")
    assert "resnet18" in zoo.list_models(weights=True)
    assert "lenet5" in zoo.list_models(weights=False)


def test_a_pickle_is_read_with_weights_only(home, state):
    torch = pytest.importorskip("torch")
    row = find("resnet18", "torchvision")
    file = cache.download_of(row)
    file.parent.mkdir(parents=True)
    torch.save({key: torch.from_numpy(value) for key, value in state.items()}, file)
    row = dataclasses.replace(row, sha256_prefix=sha256(file)[:8])
    stored = cache.fetch(row, builder.build_for_conversion)
    np.testing.assert_array_equal(
        load_file(stored.path)["stem_conv/kernel"], state["conv1.weight"].transpose(2, 3, 1, 0)
    )

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(home / "owned"),)

    other = file.with_name("evil.pth")
    torch.save({"conv1.weight": Evil()}, other)
    with (
        pytest.raises(ValueError, match="is no state dict that PyTorch reads with weights_only=True"),
        cache.unpickled(other, file.parent),
    ):
        pass
    assert not (home / "owned").exists()
    assert os.listdir(file.parent) == ["evil.pth"]


def test_a_pickle_without_torch_says_what_to_install(home):
    import importlib.util

    if importlib.util.find_spec("torch") is not None:
        pytest.skip("PyTorch is installed")
    with pytest.raises(
        ImportError, match=r'publishes resnet18:torchvision as a pickle.* pip install "cnn-zoo\[torch\]"'
    ):
        zoo.create_model("resnet18", weights="torchvision")

import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import zoo
from zoo import files, weights


@pytest.fixture
def model():
    return zoo.create_model("resnet20", classes=3)


@pytest.fixture
def folder(model, tmp_path):
    weights.save(model, tmp_path / "w", epoch=4)
    return tmp_path / "w"


def values(model):
    return {variable.path: variable.numpy().copy() for variable in model.weights}


def test_round_trip_is_exact(model, folder):
    other = zoo.create_model("resnet20", classes=3)
    assert weights.load(other, folder) is other
    expected, actual = values(model), values(other)
    assert expected.keys() == actual.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)


def test_the_manifest_says_what_is_there(model, folder):
    stored = weights.open_weights(folder)
    assert stored.manifest["epoch"] == 4
    assert stored.manifest["num_tensors"] == len(model.weights)
    assert stored.manifest["size"] == stored.path.stat().st_size
    assert stored.manifest["sha256"] == files.sha256(stored.path)
    assert sorted(os.listdir(folder)) == sorted([stored.path.name, "manifest.json"])
    assert weights.open_weights(stored.path) == stored


def test_saving_again_replaces(model, folder):
    first = weights.open_weights(folder).path
    model.get_layer("logits").bias.assign([1, 2, 3])
    second = weights.save(model, folder).path
    assert not first.exists()
    assert os.listdir(folder).count(second.name) == 1
    assert weights.load(zoo.create_model("resnet20", classes=3), folder).get_layer("logits").bias.numpy().tolist() == [
        1, 2, 3
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["bit", "truncated", "empty", "longer", "missing"])
def test_damage_is_noticed_and_changes_nothing(model, folder, damage):
    path = weights.open_weights(folder).path
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    changed = {"bit": content, "truncated": content[:-4], "empty": b"", "longer": content + b"x"}
    path.unlink() if damage == "missing" else path.write_bytes(changed[damage])
    other = zoo.create_model("resnet20", classes=3)
    before = values(other)
    message = "is missing, though the manifest" if damage == "missing" else "is damaged: its SHA-256 is"
    with pytest.raises(ValueError, match=message):
        weights.load(other, folder)
    for name, array in values(other).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"file": 3}', '{"format": 1, "file": "../w", "size": 3}'])
def test_a_damaged_manifest_is_refused(model, folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"is damaged|is not of format 1"):
        weights.load(model, folder)


def test_a_manifest_of_another_format_is_refused(model, folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(ValueError, match="is not of format 1 that this version reads"):
        weights.load(model, folder)


def test_nothing_there(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no weights: there is no"):
        weights.load(model, tmp_path)
    with pytest.raises(ValueError, match="resnet20 has no weights"):
        zoo.create_model("resnet20", weights=tmp_path / "nowhere")


def test_a_mismatch_shows_both_sides(folder):
    with pytest.raises(ValueError, match="does not fit the model 'resnet20'") as error:
        weights.load(zoo.create_model("resnet20", classes=4), folder)
    assert "Of different shape (2): logits/kernel (file (64, 3), model (64, 4)), logits/bias" in str(error.value)
    with pytest.raises(ValueError, match=re.escape("In the model, not in the file (")) as error:
        weights.load(zoo.create_model("resnet32", classes=3), folder)
    assert "stage1_block4_conv1/kernel" in str(error.value)
    with pytest.raises(ValueError, match=re.escape("In the file, not in the model (")) as error:
        weights.load(zoo.create_model("resnet20", include_top=False), folder)
    assert "(2): logits/kernel, logits/bias" in str(error.value) or "(2): logits/bias, logits/kernel" in str(
        error.value
    )


def rewrite(folder, change):
    """Change the tensors and make the manifest fit, so that only the content is wrong."""
    stored = weights.open_weights(folder)
    tensors = load_file(stored.path)
    change(tensors)
    save_file(tensors, stored.path)
    manifest = {**stored.manifest, "size": stored.path.stat().st_size, "sha256": files.sha256(stored.path)}
    files.write_json(folder / "manifest.json", manifest)


def test_values_that_are_not_numbers_are_refused(model, folder):
    def poison(tensors):
        tensors["logits/bias"][1] = np.nan

    rewrite(folder, poison)
    with pytest.raises(ValueError, match="'logits/bias' holds values that are NaN or infinite"):
        weights.load(model, folder)
    model.get_layer("logits").bias.assign([0, np.inf, 0])
    with pytest.raises(ValueError, match="'logits/bias' holds values that are NaN or infinite"):
        weights.save(model, folder)


def test_whole_numbers_are_refused(model, folder):
    def truncate(tensors):
        tensors["logits/bias"] = tensors["logits/bias"].astype("int32")

    rewrite(folder, truncate)
    with pytest.raises(ValueError, match="not floating-point: logits/bias"):
        weights.load(model, folder)


def test_half_precision_models_are_stored():
    keras.config.set_dtype_policy("float16")
    model = zoo.create_model("simple_cnn")
    assert model.weights[0].dtype == "float16"


KILLED = """
import os, sys
sys.path.insert(0, {root!r})
from zoo import files
import numpy as np
calls = 0
def chunks():
    for index in range(1000):
        if index == {at}:
            os.kill(os.getpid(), 9)
        yield bytes(1000)
files.write_atomic({path!r}, chunks())
"""


@pytest.mark.parametrize("at", [0, 1, 500, 999])
def test_kill_in_mid_write_leaves_the_old_file_and_nothing_else(tmp_path, at):
    path = tmp_path / "file"
    files.write_atomic(path, b"old")
    script = KILLED.format(root=str(zoo.__path__[0] + "/.."), path=str(path), at=at)
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    files.write_atomic(path, b"old")
    script = (
        f"import resource, signal, sys; sys.path.insert(0, {zoo.__path__[0] + '/..'!r})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"from zoo import files; files.write_atomic({str(path)!r}, bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "OSError" in done.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_named_temporary_files_work_where_unnamed_ones_do_not(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    files.write_atomic(tmp_path / "file", "text ü")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text ü"

    def broken():
        yield b"half"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        files.write_atomic(tmp_path / "file", broken())
    assert os.listdir(tmp_path) == ["file"]
    assert files.sha256(tmp_path / "file") == files.write_atomic(tmp_path / "file", "text ü")


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "file", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []

"""`zoo weights …`, as a user calls it."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

import zoo
from zoo import cli
from zoo.weights import open_weights

URL_PATH = "/timm/resnet18.a1_in1k/resolve/main/model.safetensors"


@pytest.fixture
def source(tmp_path, server, content, monkeypatch):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_MIRROR_TIMM", server.url)
    server.files[URL_PATH] = content
    return server


def call(capsys, *arguments):
    """Exit code, standard output and standard error."""
    code = cli.main(["weights", *map(str, arguments)])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_list(source, capsys):
    code, out, _ = call(capsys, "list", "resnet18")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["weights", "top-1", "%", "top-5", "%", "licence", "size", "reader", "cached"]
    assert len(lines) == 1 + len(zoo.model_card("resnet18").weights)
    assert sum("(default)" in line for line in lines) == 1
    torchvision = next(line for line in lines if line.startswith("resnet18:torchvision "))
    assert torchvision.split() == ["resnet18:torchvision", "69.76", "89.08", "not", "stated", "47", "MB", "PyTorch,",
                                   "once"]  # fmt: skip
    code, out, _ = call(capsys, "list")
    assert len(out.splitlines()) == 1 + sum(len(zoo.model_card(name).weights) for name in zoo.list_models())
    assert call(capsys, "list", "resnet18", "--markdown")[1].count("| `resnet18:") == len(lines) - 1
    assert call(capsys, "list", "lenet5")[1] == "lenet5 has no published weights.\n"
    code, _, error = call(capsys, "list", "resnet81")
    assert (code, error.count("\n")) == (2, 1)
    assert "There is no model named 'resnet81'. Did you mean resnet18" in error


def test_download_and_verify(source, tmp_path, capsys):
    code, out, error = call(capsys, "download", "resnet18:timm.a1")
    folder = tmp_path / "home" / "weights" / "resnet18" / "timm.a1"
    assert (code, out.splitlines()) == (0, ["resnet18:timm.a1, licence apache-2.0", str(folder)]), error
    assert call(capsys, "list", "resnet18")[1].count(" yes\n") == 1
    records = json.loads(call(capsys, "list", "resnet18", "--json")[1])
    assert [record["weights"] for record in records if record["cached"]] == ["resnet18:timm.a1"]

    stored = open_weights(folder)
    for path in (folder, stored.path):
        code, out, _ = call(capsys, "verify", path)
        assert (code, f"whole; 102 tensors of resnet18:timm.a1, SHA-256 {stored.manifest['sha256']}" in out) == (
            0,
            True,
        )
    content = bytearray(stored.path.read_bytes())
    content[-1] ^= 1
    stored.path.write_bytes(content)
    code, _, error = call(capsys, "verify", folder)
    assert (code, "is damaged: its SHA-256 is" in error) == (2, True)


def test_download_of_what_there_is_not(source, capsys):
    code, _, error = call(capsys, "download", "resnet18:timm.zz")
    assert (code, "'resnet18' has no published weights 'timm.zz'" in error) == (2, True)
    code, _, error = call(capsys, "download", "resnet18:timm.a2")
    assert (code, error.count("\n"), "By hand: fetch https://huggingface.co/timm/" in error) == (2, 1, True)


def test_verify_a_file_as_published(tmp_path, capsys):
    from zoo.files import sha256

    file = tmp_path / "mine.pth"
    file.write_bytes(b"some weights")
    code, _, error = call(capsys, "verify", file)
    assert (code, "Nothing says what" in error) == (2, True)
    named = file.rename(tmp_path / f"mine-{sha256(file)[:8]}.pth")
    code, out, _ = call(capsys, "verify", named)
    assert (code, "as its publisher says" in out) == (0, True)
    wrong = named.rename(tmp_path / "resnet18-f37072fd.pth")
    code, _, error = call(capsys, "verify", wrong)
    assert (code, "is damaged, or another file" in error, "expected f37072fd" in error) == (2, True, True)
    assert call(capsys, "verify", tmp_path / "nowhere")[0] == 2
    assert "there is no manifest.json in it" in call(capsys, "verify", tmp_path)[2]


def test_convert(state, tmp_path, capsys):
    file, out = tmp_path / "state.safetensors", tmp_path / "out"
    file.write_bytes(save(state))
    code, _, error = call(capsys, "convert", "resnet18", file, "--source", "torchvision", "--out", out)
    assert code == 0, error
    manifest = open_weights(out).manifest
    assert (manifest["source"], manifest["origin"]["file"]) == ("torchvision", "state.safetensors")
    model = zoo.create_model("resnet18", weights=out, classes=7)
    np.testing.assert_array_equal(
        model.get_layer("stem_conv").kernel.numpy(), state["conv1.weight"].transpose(2, 3, 1, 0)
    )
    code, _, error = call(capsys, "convert", "resnet18", file, "--source", "timm", "--out", out)
    assert (code, "holds weights already" in error) == (2, True)
    for arguments, message in (
        (("resnet34", file, "--source", "timm"), "does not fit the model 'resnet34'"),
        (("resnet18", file, "--source", "tim"), "source must be 'torchvision'"),
        (("resnet18", tmp_path / "nowhere", "--source", "timm"), "There is no weights file at"),
        (("lenet5", file, "--source", "timm"), "There is no mapping from the names of timm"),
    ):
        code, _, error = call(capsys, "convert", *arguments, "--out", tmp_path / "other")
        assert (code, message in error, error.count("\n")) == (2, True, 1), error
    assert not (tmp_path / "other" / "manifest.json").exists()

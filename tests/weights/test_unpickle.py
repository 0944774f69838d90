"""Pickles of PyTorch become safetensors in a process of its own; nothing else in them runs."""

import io
import os
import pickle
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file

from zoo.weights import cache


@pytest.mark.parametrize("is_new", [True, False])
def test_pth(tmp_path, is_new):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    state = {"a.weight": torch.arange(6.0).reshape(2, 3)}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=is_new)
    with cache.unpickled(tmp_path / "a.pth", tmp_path) as plain:
        np.testing.assert_array_equal(load_file(plain)["a.weight"], [[0, 1, 2], [3, 4, 5]])
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_without_pytorch_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with (
        pytest.raises(ImportError, match=r'a.pth is a pickle, which PyTorch reads. .*pip install "cnn-zoo\[torch\]"'),
        cache.unpickled(tmp_path / "a.pth", tmp_path),
    ):
        pass


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def malicious(torch, kind, path, target):
    if kind == "zip":
        torch.save({"a": Code(os.system, f"touch {target}")}, path)
    elif kind == "legacy":
        torch.save({"a": Code(eval, f"open({str(target)!r}, 'w')")}, path, _use_new_zipfile_serialization=False)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Code(os.system, f"touch {target}"), protocol=2))
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            for name in ("sys_info", "pickle", "storages", "tensors"):
                content = pickle.dumps(Code(os.system, f"touch {target}"), protocol=2)
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    elif kind == "source":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.py", f"open({str(target)!r}, 'w')")
            archive.writestr("archive/data.pkl", pickle.dumps(Code(os.system, f"touch {target}"), protocol=2))
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "network":
        torch.save(torch.nn.Linear(1, 1), path)
    elif kind == "claimed storage":
        torch.save({"a": torch.zeros(4)}, path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                # The number of elements, which storage and tensor claim, becomes 2^30.
                archive.writestr(name, content.replace(b"K\x04", b"J\0\0\0\x40") if "data.pkl" in name else content)
    else:
        torch.save({"a": torch.zeros(4)}, path)
        path.write_bytes(path.read_bytes()[:-30])


def slow(*kinds):
    return [pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


# Each starts a process that imports PyTorch.
@pytest.mark.parametrize(
    "kind", ["zip", *slow("legacy", "pickle", "tar", "source", "list", "network", "claimed storage", "truncated")]
)
def test_malicious_and_damaged_pth(tmp_path, kind):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    path, target = tmp_path / "model.pth", tmp_path / "ran"
    malicious(torch, kind, path, target)
    with pytest.raises(ValueError, match="is no state dict that PyTorch reads"), cache.unpickled(path, tmp_path):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["model.pth"]
    assert not target.exists()

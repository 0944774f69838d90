"""The store of checkpoints under every fault that we know how to cause.

Faults are caused, not played: processes are killed, disks are full, the kernel refuses calls. Names hold the numbers of
the fault matrix: F02 kill in mid-write, F04 kill between two files, F05 an error in the training, F10 disk full and I/O
error, F11 damaged files, F12 folders that cannot be written and odd names, F13 file systems without locks, F14 two
trainings in one folder, F15 clocks, F30 numbers that are not finite.
"""

import contextlib
import ctypes
import errno
import gc
import json
import logging
import os
import platform
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from zoo import training
from zoo.training import checkpoints
from zoo.training.checkpoints import Checkpoints, NoneWhole, NonFinite, RunInUse

ARRAYS, MANIFEST = "arrays.safetensors", "manifest.json"


def arrays_of(step, version=0, size=40):
    rng = np.random.default_rng([step, version])
    return {
        "weights": rng.normal(0, 1, (size, 3)).astype(np.float32),
        "seed": rng.integers(0, 2**32, 2, np.uint32),
        "iterations": np.array(step, np.int64),
    }


def save(store, *steps, version=0, size=40):
    for step in steps:
        store.save(step, arrays_of(step, version, size), {"epoch": int(step), "version": version})


def check(found, step, size=40):
    """It is this step's, to the bit."""
    assert found is not None
    assert found.step == step
    expected = arrays_of(step, found.state["version"], size)
    assert found.state["epoch"] == step
    assert found.arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()


def latest(folder):
    with contextlib.closing(Checkpoints(folder)) as store:
        return store.latest()


def steps_in(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("step-"))


def leftovers(folder):
    return [path.name for path in Path(folder).iterdir() if path.name.endswith(".partial")]


def name_of(step):
    return f"step-{step:012d}"


@pytest.fixture
def folder(tmp_path):
    """A folder with the checkpoints of steps 1 and 2."""
    with contextlib.closing(Checkpoints(tmp_path / "checkpoints")) as store:
        save(store, 1, 2)
    return store.folder


class Child:
    """A fork of this process, which runs a function that is given a way to report lines of text.

    It calls nothing of TensorFlow, whose threads it does not have; nor may the collector do so.
    """

    def __init__(self, function):
        self.output, output = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that this process has threads
            self.pid = os.fork()
        if self.pid:
            os.close(output)
            self.status = None
            return
        code = 1
        try:
            gc.disable()
            signal.alarm(60)
            os.close(self.output)
            function(lambda *words: os.write(output, (" ".join(map(str, words)) + "\n").encode()))
            code = 0
        except BaseException:
            os.write(output, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            self.kill()
        os.close(self.output)

    def line(self):
        """The next line that it reports; empty at its end."""
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self.output, 1)):
            line += byte
        return line.decode().rstrip("\n")

    def rest(self):
        return b"".join(iter(lambda: os.read(self.output, 65536), b"")).decode()

    def join(self):
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        return self.join()


def in_child(function):
    """Run it in a child and fail as it fails."""
    with Child(function) as child:
        text = child.rest()
        assert child.join() == 0, text
        return text


# Kill


def kill_before(call, kinds):
    """Kill this thread's process before its call number `call` (0, 1, …) of a function in C, of those in `kinds`."""
    seen = iter(range(call + 1))

    def watch(frame, event, function):
        if event == "c_call" and kinds(function) and next(seen) == call:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)


def changes_disk(function):
    """A kill before any call between two of these leaves what a kill before the second leaves."""
    return function.__name__ in {
        "open", "write", "flush", "fsync", "link", "unlink", "mkdir", "rmdir", "rename", "replace", "ftruncate"
    }  # fmt: skip


def killed_at_every_stage(tmp_path, step, kinds):
    """Save `step` where 1 and 2 are, and be killed before each call in turn; the number of kills."""
    with contextlib.closing(Checkpoints(tmp_path / "before")) as store:
        save(store, 1, 2)
    for call in range(100_000):
        folder = tmp_path / str(call)
        shutil.copytree(tmp_path / "before", folder)

        def write(report, folder=folder, call=call):
            store = Checkpoints(folder, keep=1, background=False)
            kill_before(call, kinds)
            save(store, step, version=1)

        with Child(write) as child:
            text, status = child.rest(), child.join()
        assert status in (0, -signal.SIGKILL), text
        found = latest(folder)
        check(found, found.step)
        assert (found.step, found.state["version"]) in ((2, 0), (step, 1))
        assert not leftovers(folder)
        if status == 0:
            assert (found.step, found.state["version"]) == (step, 1)
            assert len(steps_in(folder)) == 1
            return call
        shutil.rmtree(folder)
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("step", [2, 3], ids=["the same step again", "a new step"])
def test_f02_f04_kill_before_every_change_of_the_disk(tmp_path, step):
    assert killed_at_every_stage(tmp_path, step, changes_disk) > 30


@pytest.mark.slow
@pytest.mark.exhaustive
def test_f02_f04_kill_before_every_call_at_all(tmp_path):
    assert killed_at_every_stage(tmp_path, 3, lambda function: True) > 100


def killed_at_random(folder, kills, seed, size):
    """A training is killed and started again; it never comes behind what it knew to be on the disk."""
    chance, committed = random.Random(seed), 0

    def write(report):
        store = Checkpoints(folder, keep=2)
        found = store.latest()
        step = 0 if found is None else found.step
        report(step)
        while True:
            step += 1
            save(store, step, size=size)  # which has waited for the one before
            report(step - 1)
            if step % 3 == 0:
                store.wait()
                report(step)

    for _ in range(kills):
        with Child(write) as child:
            lines = [child.line() for _ in range(chance.randint(1, 5))]  # however slow the disk, it comes forward
            time.sleep(chance.uniform(0, 0.03))
            assert child.kill() == -signal.SIGKILL
            lines += child.rest().split("\n")
        assert all(re.fullmatch(r"\d*", line) for line in lines), lines
        assert int(lines[0]) >= committed
        committed = max(int(line) for line in lines if line)
        if committed:
            found = latest(folder)
            assert found.step >= committed
            check(found, found.step, size)
            assert not leftovers(folder)
    return committed


def test_f02_kill_at_random_moments(tmp_path):
    assert killed_at_random(tmp_path, kills=15, seed=1, size=5000) > 5


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kills"), [(40, 100), (5000, 100), (500_000, 30)])
def test_f02_hundreds_of_kills_at_random_moments(tmp_path, size, kills):
    assert killed_at_random(tmp_path, kills, seed=size, size=size) > kills // 3


def test_f02_what_killed_writes_have_left_is_removed(folder):
    (folder / f".{name_of(3)}.01234567.partial").mkdir()
    (folder / f".{name_of(3)}.01234567.partial" / ARRAYS).write_bytes(b"half")
    (folder / f"{name_of(4)}.partial").mkdir()
    (folder / "lost.partial").write_bytes(b"half")
    check(latest(folder), 2)
    assert not leftovers(folder)


def test_f05_an_error_in_the_training_keeps_what_was_saved(tmp_path):
    with contextlib.suppress(ZeroDivisionError), contextlib.closing(Checkpoints(tmp_path)) as store:
        save(store, 7)
        raise ZeroDivisionError
    check(latest(tmp_path), 7)


# Full disks, I/O errors, folders that cannot be written

# Numbers of system calls of Linux on x86-64.
CALLS = {
    "write": [1], "flock": [73], "fsync": [74], "rename": [82], "mkdir": [83], "open to write": [257],
    "link": [265], "remove": [84, 87, 263],
}  # fmt: skip

needs_seccomp = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the kernel is told to refuse calls by number"
)


def refuse(call, code):
    """From now on the kernel answers this thread's calls of that kind with the error `code`; 0 says that it did it."""
    numbers = CALLS[call]
    program = [(0x20, 0, 0, 0)]  # load the number of the call
    program += [(0x15, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]  # equal: skip the next
    program += [(0x06, 0, 0, 0x7FFF0000)]  # allow
    if call == "open to write":  # flags without O_CREAT and O_TMPFILE: allow
        program += [(0x20, 0, 0, 32), (0x45, 1, 0, 0x400040), (0x06, 0, 0, 0x7FFF0000)]
    program += [(0x06, 0, 0, 0x00050000 | code)]

    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction))]

    instructions = (Instruction * len(program))(*program)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.byref(Program(len(program), instructions)))):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "the kernel takes no filter for calls")


def in_thread(function):
    """Run it in a thread of its own, whose refused calls are refused nowhere else, and fail as it fails."""
    failed = []

    def run():
        try:
            function()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@needs_seccomp
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("open to write", errno.EROFS),
        ("open to write", errno.EDQUOT),
        ("mkdir", errno.ENOSPC),
        ("mkdir", errno.EACCES),
        ("write", errno.ENOSPC),
        ("write", errno.EDQUOT),
        ("write", errno.EIO),
        ("fsync", errno.EIO),
        ("link", errno.EIO),
        ("rename", errno.ESTALE),
    ],
    ids=lambda value: value if isinstance(value, str) else errno.errorcode[value],
)
def test_f10_f12_a_write_that_the_kernel_refuses(folder, caplog, call, code):
    def write(report):
        store = Checkpoints(folder, background=False)

        def refused():
            refuse(call, code)
            save(store, 3)  # raises nothing: the training goes on
            assert "The checkpoint of step 3 could not be written in" in caplog.text  # said at once
            assert os.strerror(code) in caplog.text
            assert re.search(r"free space there: \d+\.\d MB; checkpoints that failed in a row: 1", caplog.text)
            check(store.latest(), 2)
            save(store, 4)
            assert "failed in a row: 2" in caplog.text
            with pytest.raises(OSError, match="The checkpoint of step 4 could not be written") as caught:
                store.wait()
            assert caught.value.errno == code
            store.wait()  # the same failure is not raised again

        in_thread(refused)
        save(store, 5)
        assert "step 5 is, 2 before were not" in caplog.text
        store.close()

    in_child(write)
    check(latest(folder), 5)
    assert steps_in(folder) == [name_of(1), name_of(2), name_of(5)]


@pytest.mark.parametrize("background", [True, False])
def test_f10_a_failed_write_does_not_drop_the_next_save(folder, caplog, background):
    def write(report):
        store = Checkpoints(folder, background=background)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
        save(store, 3, size=5000)
        for _ in range(3000):
            if "could not be written" in caplog.text:
                break
            time.sleep(0.01)
        assert "step 3 could not be written" in caplog.text  # before anything asks
        check(store.latest(), 2)
        save(store, 4)  # a small one fits
        store.wait()  # the state that was saved last is on the disk
        check(store.latest(), 4)
        save(store, 5, size=5000)
        with pytest.raises(OSError, match=r"step 5 could not be written.*Those before are kept"):
            store.close()
        store.close()

    in_child(write)
    check(latest(folder), 4)
    assert not leftovers(folder)


def test_f10_a_file_system_that_is_really_full(tmp_path, caplog):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount file systems")
    try:
        store = Checkpoints(disk / "checkpoints", keep=1)
        save(store, 1, size=10_000)
        save(store, 2, size=100_000)
        with pytest.raises(OSError, match="No space left on device") as caught:
            store.wait()
        assert caught.value.errno == errno.ENOSPC
        assert "step 2 could not be written" in caplog.text
        assert not leftovers(store.folder)  # which would keep the disk full
        (disk / "other").write_bytes(bytes(shutil.disk_usage(disk).free))
        save(store, 3)
        with pytest.raises(OSError, match="step 3 could not be written"):
            store.wait()
        check(store.latest(), 1, size=10_000)
        store.close()
        with contextlib.closing(Checkpoints(disk / "checkpoints", keep=1)) as store:  # opens on the full disk too
            check(store.latest(), 1, size=10_000)
            (disk / "other").unlink()
            save(store, 4, size=10_000)
            store.wait()
            check(store.latest(), 4, size=10_000)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def drop_privileges():
    """Root may write where it may not; not so without its capabilities."""
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, nothing) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_f12_a_folder_that_may_not_be_written(folder, caplog):
    def write(report):
        drop_privileges()
        store = Checkpoints(folder)
        os.chmod(folder, 0o555)
        save(store, 3)
        with pytest.raises(PermissionError, match=r"step 3 could not be written.*Permission denied"):
            store.wait()
        check(store.latest(), 2)
        os.chmod(folder, 0o755)
        save(store, 4)
        store.close()
        # Before a training begins, though the lock is there already.
        os.chmod(folder, 0o555)
        with pytest.raises(PermissionError, match=r"Checkpoints cannot be written in .*Permission denied"):
            Checkpoints(folder)
        with pytest.raises(PermissionError, match=r"Checkpoints cannot be written in .*Permission denied"):
            Checkpoints(folder / "inner")
        os.chmod(folder, 0o755)
        Checkpoints(folder).close()  # what failed has let go of it

    in_child(write)
    check(latest(folder), 4)


def test_f12_names_that_cannot_be_are_refused_before_a_training_begins(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/inner", "x" * 300):
        with pytest.raises(OSError, match="Checkpoints cannot be written in"):
            Checkpoints(tmp_path / name)


@pytest.mark.parametrize("name", ["with spaces", "Übung 訓練 🏋", "-rf", "a'\"$(x)", "x" * 255, "step-000000000001"])
def test_f12_odd_names_of_folders(tmp_path, name):
    with contextlib.closing(Checkpoints(tmp_path / name)) as store:
        save(store, 1, 2)
    check(latest(tmp_path / name), 2)


def test_f12_the_process_changes_its_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(Checkpoints("checkpoints")) as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir("elsewhere")
        save(store, 1)
    check(latest(tmp_path / "checkpoints"), 1)


def test_f10_what_is_on_the_disk_is_flushed_in_this_order(tmp_path, monkeypatch):
    """Power may fail at any moment: content first, then the name, then the folder that holds the name."""
    events, fsync, rename = [], os.fsync, os.rename

    def seen_fsync(descriptor):
        fsync(descriptor)
        events.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def seen_rename(source, target, **options):
        rename(source, target, **options)
        events.append(("rename", str(target)))

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    folder = tmp_path / "checkpoints"
    with contextlib.closing(Checkpoints(folder, background=False)) as store:
        assert events == [("fsync", str(tmp_path))]  # that the folder itself is there
        save(store, 1)
    visible = events.index(("rename", str(folder / name_of(1))))
    flushed = [path for kind, path in events[1:visible] if kind == "fsync"]
    assert len(flushed) == 4  # two files, and their folder after each
    assert events[visible + 1 :] == [("fsync", str(folder))]


# Damaged files


@contextlib.contextmanager
def damaged(folder):
    """A function that replaces a file of step 2, for a moment, after which nobody may take it for a checkpoint."""
    with contextlib.closing(Checkpoints(folder)) as store:

        def look(path, content):
            good = path.read_bytes()
            path.write_bytes(content)
            check(store.latest(), 1)
            path.write_bytes(good)

        yield look
        check(store.latest(), 2)


@pytest.mark.parametrize("file", [ARRAYS, MANIFEST])
def test_f11_a_bit_flips_in_any_byte(folder, file, caplog):
    path = folder / name_of(2) / file
    content, chance = path.read_bytes(), random.Random(4)
    with damaged(folder) as look:
        for index in range(len(content)):
            flipped = bytearray(content)
            flipped[index] ^= 1 << chance.randrange(8)
            look(path, flipped)
    assert caplog.text.count(f"The checkpoint {path.parent} is damaged and skipped") == len(content)


@pytest.mark.slow
@pytest.mark.parametrize("file", [ARRAYS, MANIFEST])
def test_f11_any_bit_flips(folder, file):
    path = folder / name_of(2) / file
    content = path.read_bytes()
    with damaged(folder) as look:
        for index in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[index // 8] ^= 1 << index % 8
            look(path, flipped)


@pytest.mark.parametrize("file", [ARRAYS, MANIFEST])
def test_f11_a_file_is_cut_or_grows(folder, file):
    path = folder / name_of(2) / file
    content = path.read_bytes()
    with damaged(folder) as look:
        for length in np.linspace(0, len(content) - 1, 64).astype(int):
            look(path, content[:length])
        for more in (b"\0", b"\n", b"x", content):
            look(path, content + more)


MANIFESTS = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "empty": b"{}",
    "format alone": b'{"format": 2}',
    "no UTF-8": b"\xff\xfe{}",
    "nested": b"[" * 100_000,
    "NaN": b'{"format": NaN}',
    "zeros": bytes(500),
    "sealed, without the rest": checkpoints._sealed({"format": 2}).encode(),
    "sealed, of other types": checkpoints._sealed({"format": 2, "step": 2, "arrays": [], "state": None}).encode(),
    "the first format": b'{"format": 1, "step": 2, "sha256": "", "state": "{}", "state_sha256": ""}',
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_f11_a_manifest_of_anything_does_not_stop_the_resume(folder, kind):
    with damaged(folder) as look:
        look(folder / name_of(2) / MANIFEST, MANIFESTS[kind])


def test_f11_a_step_that_is_not_the_folders(folder, caplog):
    shutil.copytree(folder / name_of(1), folder / name_of(9))
    check(latest(folder), 2)
    assert "it is of step 1, its folder's name says 9" in caplog.text


def test_f11_the_digit_of_the_step_flips(folder):
    path = folder / name_of(2) / MANIFEST
    with damaged(folder) as look:
        look(path, path.read_bytes().replace(b'"step": 2', b'"step": 3'))


def test_f11_the_arrays_of_another_model(folder, caplog):
    shutil.copy(folder / name_of(1) / ARRAYS, folder / name_of(2) / ARRAYS)
    check(latest(folder), 1)
    assert f"the SHA-256 of {ARRAYS} is not the manifest's" in caplog.text


def missing(path):
    path.unlink()


def folder_instead(path):
    path.unlink()
    path.mkdir()


def link_to_itself(path):
    path.unlink()
    path.symlink_to(path.name)


def link_to_nowhere(path):
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("file", [ARRAYS, MANIFEST])
@pytest.mark.parametrize("fault", [missing, folder_instead, link_to_itself, link_to_nowhere])
def test_f11_a_file_is_not_there(folder, file, fault):
    fault(folder / name_of(2) / file)
    with contextlib.closing(Checkpoints(folder, keep=2)) as store:
        check(store.latest(), 1)
        save(store, 2, 3)
        store.wait()
        check(store.latest(), 3)
    assert steps_in(folder) == [f"{name_of(2)}-1", name_of(3)]


def test_f11_a_checkpoint_is_not_a_folder(folder):
    (folder / name_of(5)).write_text("a file")
    (folder / name_of(6)).symlink_to("nowhere")
    with contextlib.closing(Checkpoints(folder)) as store:
        check(store.latest(), 2)
        save(store, 5, 6)
        store.wait()
        check(store.latest(), 6)


def test_f11_where_none_is_whole_a_person_decides(folder):
    (folder / name_of(1) / MANIFEST).unlink()
    (folder / name_of(2) / ARRAYS).write_bytes(b"")
    match = (
        rf"none of them is whole.*Received: {name_of(2)}: {ARRAYS} has 0 bytes instead of \d+; {name_of(1)}: .*No such"
    )
    with pytest.raises(NoneWhole, match=match):
        latest(folder)
    assert steps_in(folder) == [name_of(1), name_of(2)]
    assert latest(folder.parent / "new") is None


# Names, links, clocks


MOMENTS = {"1970": 0.0, "yesterday": time.time() - 86400, "tomorrow": time.time() + 86400, "2242": 2.0**33}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_f15_the_newest_goes_by_its_step(folder, moment):
    for path in (folder / name_of(2)).iterdir():
        os.utime(path, (moment, moment))
    os.utime(folder / name_of(2), (moment, moment))
    with contextlib.closing(Checkpoints(folder, keep=2)) as store:
        check(store.latest(), 2)
        save(store, 3)
    assert steps_in(folder) == [name_of(2), name_of(3)]


def test_steps_are_numbers_however_many_digits_they_have(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path)) as store:
        save(store, 10**12 - 1, 10**12, np.int64(10**12 + 1))
        check(store.latest(), 10**12 + 1)
        with pytest.raises(ValueError, match=r"A step must be at least 0\. Received: step=-1"):
            store.save(-1, {}, {})
        with pytest.raises(TypeError, match="float"):
            store.save(1.5, {}, {})


def test_a_step_saved_again_replaces_the_one_before(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path)) as store:
        for version in range(12):
            save(store, 4, version=version)
            store.wait()
            assert store.latest().state["version"] == version
    assert steps_in(tmp_path) == [f"{name_of(4)}-11"]


def test_what_is_no_checkpoint_is_left_alone(folder):
    (folder / "step-abc").mkdir()
    (folder / "step-7").mkdir()
    (folder / "notes.txt").write_text("mine")
    with contextlib.closing(Checkpoints(folder, keep=1)) as store:
        save(store, 3)
        store.wait()
        check(store.latest(), 3)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "notes.txt", name_of(3), "step-7", "step-abc"]


def test_links_are_never_followed_to_delete(folder, tmp_path):
    treasure = tmp_path / "treasure"
    shutil.copytree(folder / name_of(1), treasure / name_of(0))
    (folder / name_of(0)).symlink_to(treasure / name_of(0))
    (folder / ".x.partial").symlink_to(treasure)
    with contextlib.closing(Checkpoints(folder, keep=1)) as store:
        save(store, 3)
    assert steps_in(folder) == [name_of(3)]
    assert not leftovers(folder)
    assert sorted(path.name for path in (treasure / name_of(0)).iterdir()) == [ARRAYS, MANIFEST]


def test_a_checkpoint_may_be_a_link(folder, tmp_path):
    shutil.move(folder / name_of(2), tmp_path / "moved")
    (folder / name_of(2)).symlink_to(tmp_path / "moved")
    check(latest(folder), 2)


# What stays


def test_damaged_ones_do_not_count(folder):
    with contextlib.closing(Checkpoints(folder, keep=2)) as store:
        save(store, 3)
    assert steps_in(folder) == [name_of(2), name_of(3)]
    path = folder / name_of(3) / ARRAYS
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    (folder / name_of(4)).mkdir()
    with contextlib.closing(Checkpoints(folder, keep=2)) as store:
        save(store, 5)
        store.wait()
        assert steps_in(folder) == [name_of(2), name_of(3), name_of(4), name_of(5)]
        (folder / name_of(5) / ARRAYS).unlink()
        save(store, 6)
        store.wait()
        assert name_of(2) in steps_in(folder)
        check(store.latest(), 6)
        save(store, 7)
    assert steps_in(folder) == [name_of(6), name_of(7)]


def test_some_stay_for_good(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path, keep=2, keep_every=5)) as store:
        save(store, *range(13))
    assert steps_in(tmp_path) == [name_of(step) for step in (0, 5, 10, 11, 12)]
    for name in ("keep", "keep_every"):
        with pytest.raises(ValueError, match=rf"{name} must be at least 1.*Received: {name}=0"):
            Checkpoints(tmp_path, **{name: 0})


@needs_seccomp
def test_an_old_one_that_cannot_be_removed_is_no_failure(folder, caplog):
    def write(report):
        store = Checkpoints(folder, keep=1, background=False)

        def refused():
            refuse("remove", errno.EPERM)
            save(store, 3)
            store.wait()
            check(store.latest(), 3)
            assert re.search(rf"{name_of(1)} could not be removed: .*Operation not permitted", caplog.text)

        in_thread(refused)
        assert steps_in(folder) == [name_of(3)]
        save(store, 4)
        assert not leftovers(folder)
        store.close()

    in_child(write)
    assert steps_in(folder) == [name_of(4)]


# Two trainings in one folder


def hold(folder):
    """A function for a child, which has the folder until it is killed."""

    def have(report):
        store = Checkpoints(folder)
        save(store, 3)
        store.wait()
        report("ready")
        time.sleep(60)

    return have


def test_f14_a_second_training_is_refused_and_a_dead_one_is_not_in_its_way(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with Child(hold(folder)) as child:
        assert child.line() == "ready"
        for path in (folder, tmp_path / "link"):
            with pytest.raises(RunInUse, match="end it, or use another folder") as caught:
                Checkpoints(path)
            assert f"Another process ({child.pid} on {socket.gethostname()}, since 20" in str(caught.value)
        child.kill()
    check(latest(folder), 3)
    assert (folder / "lock").read_bytes() == b""


def test_f14_two_stores_in_one_process(folder):
    with contextlib.closing(Checkpoints(folder)):
        for content in (None, b"", b"nonsense", b"[]", b"\xff"):
            if content is not None:
                (folder / "lock").write_bytes(content)
            with pytest.raises(
                RunInUse, match=f"Another process {f'[(]{os.getpid()} on' if content is None else 'trai'}"
            ):
                Checkpoints(folder)
    Checkpoints(folder).close()


def test_f14_a_child_of_a_dead_training_does_not_keep_the_folder(folder):
    def have_children(report):
        store = Checkpoints(folder)
        worker = os.fork()
        if not worker:
            with contextlib.suppress(ValueError):
                save(store, 9)  # is not its
            store.close()
            report("worker", os.getpid())
            time.sleep(60)
            os._exit(0)
        time.sleep(60)

    with Child(have_children) as child:
        worker = int(child.line().split()[1])
        try:
            with pytest.raises(RunInUse):  # what the child does with its copy frees nothing
                Checkpoints(folder)
            child.kill()
            check(latest(folder), 2)
        finally:
            os.kill(worker, signal.SIGKILL)


@needs_seccomp
@pytest.mark.parametrize("code", [0, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_f13_file_systems_without_locks(folder, caplog, code):
    def have(report):
        refuse("flock", code)
        hold(folder)(report)

    def come(report):
        refuse("flock", code)
        if code:
            with contextlib.closing(Checkpoints(folder / "other")):
                assert f"has no locks ({os.strerror(code)})" in caplog.text
        with pytest.raises(RunInUse, match=rf"{owner.pid} on .*since 20"):
            Checkpoints(folder)
        report("refused")
        while os.path.exists(f"/proc/{owner.pid}"):
            time.sleep(0.01)
        check(latest(folder), 3)

    with Child(have) as owner:
        assert owner.line() == "ready"
        with Child(come) as other:
            assert other.line() == "refused"
            owner.kill()
            text = other.rest()
            assert other.join() == 0, text


@needs_seccomp
def test_f13_another_error_of_the_lock_is_not_another_process(folder):
    def come(report):
        refuse("flock", errno.EIO)
        with pytest.raises(OSError, match="Checkpoints cannot be written in .*Input/output error") as caught:
            Checkpoints(folder)
        assert caught.value.errno == errno.EIO

    in_child(come)


def test_f13_who_lost_the_folder_to_another_host_does_not_write(folder, caplog):
    """Without locks the other host cannot be refused. It writes its name into the lock file, and is then alone."""
    store = Checkpoints(folder)
    other = {"pid": 1, "host": "elsewhere", "boot": "x", "started": 1, "since": "2026-01-01 00:00:00 UTC"}
    (folder / "lock").write_text(json.dumps(other))
    save(store, 3)
    with pytest.raises(RunInUse, match=r"Another process \(1 on elsewhere, since 2026-01-01 00:00:00 UTC\) trains"):
        store.wait()
    assert steps_in(folder) == [name_of(1), name_of(2)]
    store.close()
    assert json.loads((folder / "lock").read_text()) == other


def test_f14_the_record_of_another_boot_or_a_number_used_again_is_stale(folder):
    with contextlib.closing(Checkpoints(folder)):
        record = json.loads((folder / "lock").read_text())
    for change in ({"boot": "before"}, {"started": record["started"] - 1}, {"pid": 2**22 + 1}, {"pid": "../self"}):
        (folder / "lock").write_text(json.dumps(record | change))
        Checkpoints(folder).close()


def test_the_folder_is_deleted_under_the_feet(folder, caplog):
    store = Checkpoints(folder)
    shutil.rmtree(folder.parent)
    assert store.latest() is None
    save(store, 3)
    store.wait()
    assert "was removed while a training has the folder; it is made again" in caplog.text
    check(store.latest(), 3)
    with pytest.raises(RunInUse, match=str(os.getpid())):
        Checkpoints(folder)
    store.close()
    check(latest(folder), 3)


def test_f14_the_lock_is_deleted_and_another_training_comes(folder):
    store = Checkpoints(folder)
    (folder / "lock").unlink()
    with Child(hold(folder)) as child:
        assert child.line() == "ready"
        save(store, 4)
        with pytest.raises(RunInUse, match=f"{child.pid} on"):
            store.wait()
        assert steps_in(folder) == [name_of(1), name_of(2), name_of(3)]
        with pytest.raises(RunInUse, match=f"{child.pid} on"):
            Checkpoints(folder)
        child.kill()
    save(store, 5)  # the other one is gone
    store.close()
    check(latest(folder), 5)


def test_a_closed_store(folder):
    store = Checkpoints(folder)
    store.close()
    store.close()
    with pytest.raises(ValueError, match="are closed; open them again to save"):
        save(store, 3)
    check(store.latest(), 2)


# What is saved comes back

TYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.dtype(dtype) for dtype in TYPES], ids=str)
def test_arrays_come_back_to_the_bit(tmp_path, dtype):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2 if dtype.kind == "b" else 256, 24 * dtype.itemsize, np.uint8).view(dtype)
    if dtype.kind not in "biu":
        values = np.where(np.isfinite(values), values, np.ones((), dtype))
        values[:2] = -0.0, 2.0**-14
    arrays = {
        "vector": values,
        "scalar": values[3],
        "no axes": values[3].reshape(()),
        "empty": values[:0],
        "empty, of two axes": np.zeros((3, 0), dtype),
        "transposed": values.reshape(4, 6).T,
        "in Fortran's order": np.asfortranarray(values.reshape(2, 3, 4)),
        "every second, backwards": values[::-2],
        "read only": np.broadcast_to(values[:4], (3, 4)),
    }
    with contextlib.closing(Checkpoints(tmp_path)) as store:
        store.save(1, arrays, {})
    found = latest(tmp_path).arrays
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == dtype, name
        assert found[name].shape == np.shape(array), name
        assert found[name].tobytes() == np.asarray(array).tobytes(), name
        found[name][...] = 0  # they can be written


def test_the_other_order_of_bytes(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path)) as store:
        store.save(1, {"x": np.array([1.5, -2], ">f4"), "y": np.array([1, 2**40], ">i8")}, {})
    found = latest(tmp_path).arrays
    assert found["x"].tolist() == [1.5, -2]
    assert found["y"].tolist() == [1, 2**40]


def test_names_and_states_of_all_kinds(tmp_path):
    names = ["", " ", "a/b.c\\d", "größe", "重み", "🏋", "\0\n\"'", "x" * 5000]
    arrays = {name: np.array(index) for index, name in enumerate(names)}
    state = {"größe": ["重み", None, True, 1 / 3, 2**80, "\ud800", {"": []}], "\n": 5e-324}
    with contextlib.closing(Checkpoints(tmp_path)) as store:
        store.save(1, arrays, state)
        store.save(2, {}, {})
    assert latest(tmp_path).arrays == {}
    shutil.rmtree(tmp_path / name_of(2))
    found = latest(tmp_path)
    assert {name: int(array) for name, array in found.arrays.items()} == dict(zip(names, range(99), strict=False))
    assert found.state == state


FLOATS = ["float16", "float32", "float64", "complex64", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]


@pytest.mark.parametrize("dtype", [np.dtype(dtype) for dtype in FLOATS], ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_f30_no_checkpoint_holds_what_is_not_finite(folder, dtype, value):
    bad = np.ones((3, 4), dtype)
    bad[2, 1] = value  # the 8-bit type knows no infinity and makes it NaN
    with contextlib.closing(Checkpoints(folder)) as store:
        for array in (bad, bad[2, 1]):
            with pytest.raises(
                NonFinite, match="'momentum' holds values that are NaN or infinite; the checkpoint is not"
            ):
                store.save(3, {"weights": np.ones(3), "momentum": array}, {})
        with pytest.raises(ValueError, match="not JSON compliant"):
            store.save(3, {}, {"loss": float("nan")})
        check(store.latest(), 2)
        save(store, 3)
    check(latest(folder), 3)


@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.array([None]), np.zeros(2, np.complex128), np.zeros(2, "f4,i4"),
              np.zeros(2, np.longdouble), np.zeros(2, "M8[s]"), np.zeros(2, ml_dtypes.int4)],
    ids=lambda array: str(array.dtype),
)  # fmt: skip
def test_types_that_cannot_be_saved_are_refused_at_once(folder, array):
    with contextlib.closing(Checkpoints(folder)) as store:
        with pytest.raises(TypeError, match="'x' must be of one of the types bool, .*, float8_e5m2. Received: "):
            store.save(3, {"x": array}, {})
        with pytest.raises(TypeError, match="not JSON serializable"):
            store.save(3, {}, {"x": array})
    check(latest(folder), 2)


@pytest.mark.parametrize(
    ("name", "match"), [("__metadata__", "another use for the name '__metadata__'"), ("\ud800", "that UTF-8 can hold")]
)
def test_names_that_cannot_be_read_back_are_refused(folder, name, match):
    with contextlib.closing(Checkpoints(folder)) as store, pytest.raises(ValueError, match=match):
        store.save(3, {name: np.zeros(2)}, {})
    check(latest(folder), 2)


@pytest.mark.parametrize("background", [True, False])
def test_a_save_that_arrives_while_one_is_written(tmp_path, background):
    arrays, saved = {"weights": np.zeros(1_000_000, np.float32)}, {}
    with contextlib.closing(Checkpoints(tmp_path, keep=6, background=background)) as store:
        for step in range(6):
            arrays["weights"] += np.random.default_rng(step).normal(0, 1, 1_000_000).astype(np.float32)
            saved[step] = arrays["weights"].tobytes()
            store.save(step, arrays, {})
            arrays["weights"][:] *= 0.5  # in place, while it is being written
    for step in reversed(range(6)):
        found = latest(tmp_path)
        assert found.step == step
        assert found.arrays["weights"].tobytes() == saved[step]
        shutil.rmtree(tmp_path / name_of(step))


# A training whose checkpoints cannot be written


class Disturb(keras.callbacks.Callback):
    """Puts a file where the folder of checkpoints is, for the epochs 1 and 2."""

    def __init__(self, store):
        super().__init__()
        self.store = store

    def on_epoch_begin(self, epoch, logs=None):
        folder, aside = self.store.folder, self.store.folder.with_name("aside")
        if epoch == 1:
            self.store.wait()
            folder.rename(aside)
            folder.write_text("in the way")
        elif epoch == 3:
            with pytest.raises(NotADirectoryError, match="step 6 could not be written"):
                self.store.wait()
            folder.unlink()
            aside.rename(folder)


def test_f10_a_training_goes_on_when_its_checkpoints_cannot_be_written(tmp_path, caplog):
    def fit(name, callback):
        training.seed_everything(3)
        source = keras.Input((6,))
        model = keras.Model(source, keras.layers.Dense(3, activation="softmax")(source))
        trainer = training.Trainer(model, optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
        rng = np.random.default_rng(2)
        data = (rng.normal(0, 1, (16, 6)).astype("float32"), rng.integers(0, 3, 16))
        with contextlib.closing(training.Checkpoints(tmp_path / name)) as store:
            batches = tf.data.Dataset.from_tensor_slices(data).batch(8)
            history = trainer.fit(batches, epochs=4, checkpoints=store, callbacks=[callback(store)])
            return history, store.latest()

    expected, whole = fit("whole", lambda store: keras.callbacks.Callback())
    with caplog.at_level(logging.WARNING):
        history, found = fit("disturbed", Disturb)
    assert history == expected
    assert "could not be written in" in caplog.text
    assert "step 8 is, 2 before were not" in caplog.text
    assert found.step == whole.step == 8
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)

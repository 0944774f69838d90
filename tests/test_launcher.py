"""The launcher, with processes that only pretend to train, and with real ones behind `slow`."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zoo.launcher import launch


def run(script, *, workers=2, **options):
    text = io.StringIO()
    code = launch([sys.executable, "-c", script], workers=workers, output=text, **options)
    return code, text.getvalue()


TASK = "import json, os, sys, time; task = json.loads(os.environ['TF_CONFIG']); index = task['task']['index']\n"


def test_each_worker_knows_its_place_and_its_lines_are_marked():
    code, text = run(TASK + "print(index, len(set(task['cluster']['worker'])), flush=True)", workers=3)
    assert code == 0
    assert sorted(text.splitlines()) == [f"[worker {index}] {index} 3" for index in range(3)]


def test_one_death_ends_all_and_the_exit_code_says_so():
    began = time.monotonic()
    code, text = run(TASK + "sys.exit(3) if index else time.sleep(60)")
    assert code == 3
    assert "[launch] worker 1 has ended with exit code 3" in text
    code, text = run(TASK + "os.kill(os.getpid(), 9) if index == 0 else time.sleep(60)")
    assert code == 137
    assert time.monotonic() - began < 30


def test_all_start_again_as_often_as_allowed(tmp_path):
    count = f"file = {str(tmp_path)!r} + '/' + str(index); open(file, 'a').write('x'); n = len(open(file).read())\n"
    code, text = run(TASK + count + "sys.exit(1) if index == 1 and n < 3 else time.sleep(0.5)", restarts=3)
    assert code == 0
    assert text.count("all workers start again") == 2
    code, text = run(TASK + "sys.exit(1)", restarts=1)
    assert code == 1
    assert text.count("all workers start again") == 1
    code, text = run(TASK + "sys.exit(2)", restarts=5)
    assert (code, text.count("start again")) == (2, 0)


def test_a_worker_that_stands_still_counts_as_dead():
    code, text = run(TASK + "os.kill(os.getpid(), 19) if index else time.sleep(60)", standstill_seconds=1)
    assert code == 128 + signal.SIGSTOP
    assert "worker 1 has been standing still for 1 s" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers must be at least 1. Received: workers=0"),
        ({"workers": 1, "restarts": -1}, "restarts must be at least 0. Received: restarts=-1"),
        ({"workers": 1, "command": []}, "There is no command to launch. Example: zoo launch"),
        ({"workers": 1, "command": ["zooo"]}, "There is no program to launch by that name. Received: 'zooo'"),
    ],
)
def test_illegal_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        launch(**{"command": ["true"], **arguments})


WAITS = (
    "import os, pathlib, signal, sys, time\n"
    "def end(*signal): pathlib.Path(sys.argv[1], str(os.getpid())).touch(); sys.exit(143)\n"
    "signal.signal(15, end); print('up', os.getpid(), flush=True); time.sleep(60)"
)


def waiting_workers(folder):
    """A launcher whose two workers leave a file named as their process when a signal asks them to end; their pids."""
    arguments = [sys.executable, "-c", WAITS, str(folder)]
    script = f"import sys; from zoo.launcher import launch; sys.exit(launch({arguments!r}, workers=2))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    return process, [process.stdout.readline().split("up ")[1].strip() for _ in range(2)]


def runs(pid):
    """Whether a process has not ended; one that nobody waits for stays as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_sigterm_is_passed_on(tmp_path):
    process, workers = waiting_workers(tmp_path)
    with process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells processes of their parent's death")
def test_f41_workers_end_when_their_launcher_is_killed(tmp_path):
    process, workers = waiting_workers(tmp_path)
    with process:
        process.kill()
    deadline = time.monotonic() + 30
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, workers))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(workers)


TRAIN = ["train", "simple_cnn", "--epochs", "5", "--batch-size", "64", "--save-steps", "4", "--average", "0.9"]


def launched(folder, *, restarts, strike=None):
    """A launched training of two workers; `strike` gets their process numbers after the second epoch."""
    command = [sys.executable, "-m", "zoo", "launch", "--workers", "2", "--restarts", str(restarts), "--", "zoo"]
    process = subprocess.Popen([*command, *TRAIN, "--out", str(folder)], stdout=subprocess.PIPE, text=True)
    struck = []

    def watch():
        metrics = folder / "metrics.jsonl"
        while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 2):
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        struck.append(time.monotonic())
        strike([int(child) for child in children])

    if strike is not None:
        threading.Thread(target=watch, daemon=True).start()
    text, _ = process.communicate(timeout=400)
    return process.returncode, text, time.monotonic() - struck[0] if struck else 0.0


@pytest.mark.slow
def test_a_training_of_two_workers_survives_the_death_of_each(tmp_path):
    code, _, _ = launched(tmp_path / "whole", restarts=0)
    assert code == 0
    expected = (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    best = json.loads((tmp_path / "whole" / "best" / "manifest.json").read_text())["sha256"]
    for place in (0, 1):
        folder = tmp_path / f"killed{place}"
        code, text, _ = launched(folder, restarts=2, strike=lambda pids, place=place: os.kill(pids[place], 9))
        assert code == 0, text
        assert text.count("all workers start again") == 1
        assert (folder / "metrics.jsonl").read_bytes() == expected
        assert json.loads((folder / "best" / "manifest.json").read_text())["sha256"] == best


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
def test_a_worker_that_is_stopped_ends_the_training_within_30_seconds(tmp_path, place):
    code, _, seconds = launched(tmp_path / "a", restarts=0, strike=lambda pids: os.kill(pids[place], signal.SIGSTOP))
    assert code != 0
    assert seconds < 30

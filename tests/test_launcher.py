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

from zoo import launcher
from zoo.launcher import _free_ports, launch


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


def test_one_that_refuses_its_input_ends_the_others(monkeypatch):
    monkeypatch.setattr(launcher, "_LAST_WORDS_SECONDS", 0.5)
    began = time.monotonic()
    code, text = run(TASK + "sys.exit(2) if index else time.sleep(60)", restarts=3)
    assert (code, text) == (2, "[launch] worker 1 has ended with exit code 2\n")
    assert time.monotonic() - began < 30


def test_what_a_refusal_makes_of_the_others_is_not_the_cause():
    code, text = run(TASK + "sys.exit(2) if index else [time.sleep(1), sys.exit(1)]", restarts=3)
    assert (code, text) == (2, "[launch] worker 1 has ended with exit code 2\n")


def test_a_worker_that_stands_still_counts_as_dead():
    code, text = run(TASK + "os.kill(os.getpid(), 19) if index else time.sleep(60)", standstill_seconds=1)
    assert code == 128 + signal.SIGSTOP
    assert "worker 1 has been standing still for 1 s" in text


def test_one_that_gave_up_waiting_for_a_stopped_worker_is_not_the_cause():
    code, text = run(TASK + "os.kill(os.getpid(), 19) if index else [time.sleep(2), sys.exit(1)]")
    assert code == 128 + signal.SIGSTOP
    assert text.index("worker 0 has ended with exit code 1") < text.index("worker 1 has been standing still")


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


ROOT = Path(__file__).parents[1]

# A training of five epochs whose processes are told folders of their own: that of the chief is the one that counts.
TRAIN = """
import json, os, sys
from zoo.cli import main
index = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
arguments = ["--epochs", "5", "--batch-size", "64", "--save-steps", "4", "--average", "0.9"]
sys.exit(main(["train", "simple_cnn", *arguments, "--out", f"{sys.argv[1]}/{index}", *sys.argv[2:]]))
"""


def command_of(folder):
    return [sys.executable, "-c", TRAIN, str(folder)]


def epochs_of(folder):
    """Number of epochs that a training has written down."""
    metrics = folder / "0" / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


def until(condition, processes=(), seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)


def launched(folder, *further, restarts=0, strikes=()):
    """A training of two workers; `strikes` are (epochs that are done, place, signal), one after the other."""
    command = [*command_of(folder), *further]
    script = f"import sys; from zoo.launcher import launch; sys.exit(launch({command!r}, workers=2, "
    script += f"restarts={restarts}))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    struck = []

    def strike():
        for epochs, place, number in strikes:
            until(lambda epochs=epochs: epochs_of(folder) >= epochs)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            struck.append(time.monotonic())
            os.kill(int(children[place]), number)

    thread = threading.Thread(target=strike, daemon=True)
    thread.start()
    text, _ = process.communicate(timeout=400)
    assert len(struck) == len(strikes), text
    return process.returncode, text, time.monotonic() - struck[-1] if struck else 0.0


def left(folder):
    """What a training has left: its metrics, and the hash of the best weights."""
    manifest = json.loads((folder / "0" / "best" / "manifest.json").read_text())
    return (folder / "0" / "metrics.jsonl").read_bytes(), manifest["sha256"]


def check_alike(one, other):
    """The same steps and rates, and metrics that differ by rounding, which AdamW lets grow."""
    records = [
        [json.loads(line) for line in (folder / "0" / "metrics.jsonl").read_text().splitlines()]
        for folder in (one, other)
    ]
    assert len(records[0]) == 5
    for left, right in zip(*records, strict=True):
        assert left == {name: pytest.approx(value, rel=2e-3, abs=4e-3) for name, value in right.items()}
        assert (left["step"], left["learning_rate"]) == (right["step"], right["learning_rate"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a training of two workers that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    code, text, _ = launched(folder)
    assert code == 0, text
    return folder


@pytest.mark.slow
def test_f44_only_the_chief_writes(whole):
    assert [path.name for path in whole.iterdir()] == ["0"]


@pytest.mark.slow
def test_what_the_chief_finds_in_the_folder_holds_for_all_workers(whole):
    """A finished run ends all of them well, another one is refused by all, and so are other files."""
    before = left(whole)
    code, text, _ = launched(whole)
    assert (code, text.count("stopped after 5 epochs")) == (0, 1), text
    code, text, _ = launched(whole, "--seed", "3")
    assert code == 2, text
    assert "[worker 0] zoo train: error:" in text
    assert "holds another run" in text
    assert f"[worker 1] zoo train: error: {whole}/1 is refused by the first worker, whose message says why." in text
    (whole / "0" / "config.json").rename(whole / "0" / "other.json")
    code, text, _ = launched(whole)
    (whole / "0" / "other.json").rename(whole / "0" / "config.json")
    assert code == 2, text
    assert "holds other files" in text
    assert f"{whole}/1 is refused by the first worker" in text
    assert left(whole) == before
    assert [path.name for path in whole.iterdir()] == ["0"]


@pytest.mark.slow
def test_f07_f40_one_device_then_two_train_as_two_workers_do(whole, tmp_path):
    """Interrupted on one device, gone on with on two: the same examples, steps and rates."""
    with subprocess.Popen(command_of(tmp_path), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        until(lambda: epochs_of(tmp_path) >= 2, [process])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert epochs_of(tmp_path) < 5
    subprocess.run([*command_of(tmp_path), "--devices", "2"], check=True, cwd=ROOT, capture_output=True)
    check_alike(tmp_path, whole)


@pytest.mark.slow
def test_f41_a_training_of_two_workers_survives_the_death_of_each(whole, tmp_path):
    strikes = [(2, 0, signal.SIGKILL), (4, 1, signal.SIGKILL)]
    code, text, _ = launched(tmp_path, restarts=2, strikes=strikes)
    assert code == 0, text
    assert text.count("all workers start again") == 2
    assert left(tmp_path) == left(whole)


@pytest.mark.slow
def test_f41_a_worker_that_is_stopped_ends_the_training_within_30_seconds(tmp_path):
    code, _, seconds = launched(tmp_path, strikes=[(1, 0, signal.SIGSTOP)])
    assert code == 128 + signal.SIGSTOP
    assert seconds < 30


@pytest.mark.slow
def test_f41_f42_f43_without_a_launcher(whole, tmp_path):
    """A slow worker is waited for; when one dies the others notice by themselves; fewer go on where they were."""
    hosts = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        workers.append(subprocess.Popen(command_of(tmp_path), env=environment, cwd=ROOT, stderr=subprocess.DEVNULL))
    try:
        until(lambda: epochs_of(tmp_path) >= 1, workers)
        workers[1].send_signal(signal.SIGSTOP)
        time.sleep(3)
        workers[1].send_signal(signal.SIGCONT)
        until(lambda: epochs_of(tmp_path) >= 3, workers)
        workers[1].kill()
        assert workers[0].wait(30) != 0
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    three = (whole / "0" / "metrics.jsonl").read_bytes().splitlines()[:3]
    assert (tmp_path / "0" / "metrics.jsonl").read_bytes().splitlines()[:3] == three
    subprocess.run(command_of(tmp_path), check=True, cwd=ROOT, capture_output=True)
    check_alike(tmp_path, whole)

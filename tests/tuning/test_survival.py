"""Searches killed at random moments: no finished trial is lost, none is run twice, and the results are the same."""

import collections
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tuning

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("killed.py")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def search(folder, trials, kills, seed=0):
    """Run the script to the end of its search; returns the moments of the kills."""
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, str(trials), str(kills), str(seed)], env=ENVIRONMENT, capture_output=True,
        text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


def comparable(trial):
    return trial.id, trial.values, trial.score, trial.metrics, trial.epochs, trial.status


@pytest.mark.parametrize(("trials", "kills"), [(4, 4), pytest.param(8, 20, marks=pytest.mark.exhaustive)])
def test_kills_change_nothing_but_time(tmp_path, trials, kills):
    assert search(tmp_path / "whole", trials, kills=0) == []
    moments = search(tmp_path / "killed", trials, kills=kills, seed=11)
    whole, killed = (tuning.open_search(tmp_path / name) for name in ("whole", "killed"))
    assert len(moments) >= kills // 2, "the search was over before it could be killed so often"
    assert list(map(comparable, killed.trials)) == list(map(comparable, whole.trials))
    lines = list(killed.log.lines())
    ends = collections.Counter(line["trial"] for line in lines if line["event"] == "ended")
    assert set(ends.values()) == {1}
    for number, line in enumerate(lines):
        if line["event"] == "ended":
            assert not any(later["event"] == "begun" and later["trial"] == line["trial"] for later in lines[number:])
    assert (killed.folder / "best.json").read_text() == (whole.folder / "best.json").read_text()


def session(folder, space, options):
    """One process of a search in `folder / "a"`, by a space that ends it now and then."""
    (folder / "crashing.py").write_text(f"import os, traceback\ndef space(hp):\n{space}")
    script = f"import tuning; tuning.search('simple_cnn', out='a', space='crashing:space', epochs=1, {options})"
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=folder, capture_output=True, timeout=600, check=False
    )


def test_a_trial_that_crashes_its_process_fails_and_the_search_goes_on(tmp_path):
    space = (
        "    filters = hp.Choice('filters', [8, 9, 10])\n"
        "    if filters == 9 and 'KERASTUNER_TUNER_ID' in os.environ: os.abort()\n"
        "    return {'knobs': {'filters': (filters, 8)}}\n"
    )
    assert session(tmp_path, space, "tuner='grid', trials=3, workers=2").returncode == 0
    trials = {trial.id: trial for trial in tuning.open_search(tmp_path / "a").trials}
    assert [trials[name].status for name in sorted(trials)] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert trials["0001"].message == "the process crashed 3 times in this trial, each time after 0 epochs"


def test_a_crash_of_the_search_itself_is_noted(tmp_path):
    space = (
        "    filters = hp.Choice('filters', [8, 9])\n"
        "    in_trial = any(frame.name == 'outcome' for frame in traceback.extract_stack())\n"
        "    if filters == 9 and in_trial: os.abort()\n"
        "    return {'knobs': {'filters': (filters, 8)}}\n"
    )
    assert [session(tmp_path, space, "tuner='grid', trials=2").returncode for _ in range(2)] == [-6, -6]
    events = [line for line in tuning.open_search(tmp_path / "a").log.lines() if line["event"] == "crashed"]
    assert [(line["trial"], line["how"]) for line in events] == [("0001", "Fatal Python error: Aborted")]


def test_a_trial_of_optuna_that_crashes_its_process_fails_in_the_end(tmp_path):
    pytest.importorskip("optuna")
    space = (
        "    filters = hp.Choice('filters', [8, 9])\n"
        "    if any(frame.name == 'outcome' for frame in traceback.extract_stack()): os.abort()\n"
        "    return {'knobs': {'filters': (filters, 8)}}\n"
    )
    assert [session(tmp_path, space, "tuner='tpe', trials=2").returncode for _ in range(4)] == [-6] * 4
    log = tuning.open_search(tmp_path / "a").log
    assert [line["trial"] for line in log.lines() if line["event"] == "crashed"] == ["0000"] * 3
    assert [(trial.id, trial.status) for trial in log.trials()] == [("0000", "FAILED")]
    assert [line["trial"] for line in log.lines() if line["event"] == "begun"] == ["0000"] * 3 + ["0001"]


def wait_for(condition, seconds=240):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "nothing happened"
        time.sleep(0.1)


def start(folder, workers, trials=4):
    script = (
        f"import tuning; tuning.search('simple_cnn', out={str(folder)!r}, space='model', seed=3, trials={trials}, "
        f"epochs=3, workers={workers})"
    )
    line = [sys.executable, "-c", script]
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def workers_of(folder):
    """Process numbers of the workers of a search."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
            name = (path.parent / "environ").read_bytes().decode(errors="replace").split("KERASTUNER_TUNER_ID=")
        except OSError:
            continue
        if "tuning.worker" in words and str(folder) in words:
            found[name[1].split("\0")[0]] = int(path.parent.name)
    return found


def begun(folder):
    path = folder / "trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if '"begun"' in line] if path.exists() else []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_workers_do_what_one_does_though_one_is_killed_and_the_chief_too(tmp_path):
    import signal

    alone = start(tmp_path / "one", workers=1)
    assert alone.wait(400) == 0, alone.stderr.read()[-2000:]
    folder = tmp_path / "two"
    chief = start(folder, workers=2)
    wait_for(lambda: len(begun(folder)) >= 2)
    first = workers_of(folder)
    os.kill(first["tuner1"], signal.SIGKILL)
    wait_for(lambda: workers_of(folder).get("tuner1", first["tuner1"]) != first["tuner1"])
    chief.kill()
    chief.wait()
    chief.stderr.close()
    wait_for(lambda: not workers_of(folder))
    again = start(folder, workers=2)
    assert again.wait(400) == 0, again.stderr.read()[-2000:]
    one, two = (tuning.open_search(tmp_path / name) for name in ("one", "two"))
    assert sorted(map(comparable, two.trials), key=str) == sorted(map(comparable, one.trials), key=str)
    for process in (alone, again):
        process.stderr.close()


def chief_of(folder):
    """Process numbers of the searches in a folder, under a launcher or not."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"tuning.search(" in (line := read(path)) and str(folder).encode() in line and b"launch" not in line
    ]


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_chief_is_started_again_by_the_launcher(tmp_path):
    import signal

    folder = tmp_path / "a"
    script = (
        f"import tuning; tuning.search('simple_cnn', out={str(folder)!r}, space='model', seed=3, trials=3, epochs=2, "
        "workers=2)"
    )
    line = [sys.executable, "-m", "zoo", "launch", "--workers", "1", "--restarts", "1", "--", sys.executable, "-c"]
    launcher = subprocess.Popen([*line, script], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(begun(folder)) >= 2)
    (first,) = chief_of(folder)
    os.kill(first, signal.SIGKILL)
    printed, _ = launcher.communicate(timeout=400)
    assert launcher.returncode == 0, printed[-2000:]
    assert "worker 0 has ended with exit code 137" in printed
    assert "all workers start again (1 of 1)" in printed
    found = tuning.open_search(folder)
    assert sorted(trial.id for trial in found.trials) == ["0000", "0001", "0002"]
    assert {trial.status for trial in found.trials} == {"COMPLETED"}
    assert [line["event"] for line in found.log.lines()].count("session") == 2

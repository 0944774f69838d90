"""Several processes of this machine that train together, watched from outside.

    zoo launch --workers 2 -- zoo train resnet20 --out runs/a

Each process gets a `TF_CONFIG` with the addresses of all and its own place, as a cluster's scheduler would set it. When
one of them dies or stands still, none can go on: all are ended and, as often as is allowed, started again. A training
goes on from its last checkpoint, to the same weights. On Linux the death of the launcher itself asks all to end, as
SIGTERM does.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

from zoo.signals import handled

# Seconds for which a process may stand still (SIGSTOP) before it counts as dead, and between two looks.
STANDSTILL_SECONDS = 10.0
_LOOK_SECONDS = 0.2

# Seconds in which the others end by themselves, and say why, once one has refused its input.
_LAST_WORDS_SECONDS = 5.0

# Exit codes that no restart mends: bad input, and what a process that was asked to end says after it has saved.
_BAD_INPUT = 2
_FINAL = (_BAD_INPUT, 128 + signal.SIGINT, 128 + signal.SIGTERM)

# What becomes the command after it has asked Linux for a SIGTERM at the launcher's death: a launcher that is killed can
# ask nobody to end any more. The launcher may be dead already then, and another process the parent.
_TIED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def launch(
    command: Sequence[str],
    *,
    workers: int,
    restarts: int = 0,
    standstill_seconds: float = STANDSTILL_SECONDS,
    output: TextIO | None = None,
) -> int:
    """Run a command in several processes that know of each other.

    Args:
        command: The command line of each process; `zoo` stands for this installation.
        workers: Number of processes, at least 1.
        restarts: How often all may be started again after one has died.
        standstill_seconds: Seconds for which a process may be stopped before it counts as dead.
        output: Where the lines of all go, each after `[worker N]`; None for the standard output.

    Returns:
        0 when all have ended well, else the exit code of the first that did not; 128 plus the signal's number for one
        that was killed.

    Raises:
        ValueError: A number is too small, or there is no such command.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1. Received: workers={workers}")
    if restarts < 0:
        raise ValueError(f"restarts must be at least 0. Received: restarts={restarts}")
    if not command:
        raise ValueError("There is no command to launch. Example: zoo launch --workers 2 -- zoo train resnet20 --out a")
    command = [sys.executable, "-m", "zoo", *command[1:]] if command[0] == "zoo" else list(command)
    if shutil.which(command[0]) is None:
        raise ValueError(f"There is no program to launch by that name. Received: {command[0]!r}")
    group = _Group(command, workers, standstill_seconds, output or sys.stdout)
    with handled(group.pass_on):
        for attempt in range(restarts + 1):
            code = group.run()
            if code == 0 or code in _FINAL or group.asked_to_end or attempt == restarts:
                return code
            group.say(f"all workers start again ({attempt + 1} of {restarts})")
    raise AssertionError("the loop returns")


class _Group:
    def __init__(self, command: list[str], workers: int, standstill_seconds: float, output: TextIO) -> None:
        self._command, self._workers = command, workers
        self._standstill_seconds = standstill_seconds
        self._output = output
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self.asked_to_end = False

    def run(self) -> int:
        """Start all, wait for the end of all or the death of one; returns an exit code."""
        hosts = [f"127.0.0.1:{port}" for port in _free_ports(self._workers)]
        readers = []
        self._processes = []
        try:
            for index in range(self._workers):
                process = self._start(hosts, index)
                self._processes.append(process)
                readers.append(threading.Thread(target=self._copy, args=(index, process), daemon=True))
                readers[-1].start()
            return self._watch()
        finally:
            for process in self._processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
            for reader in readers:
                reader.join()

    def _start(self, hosts: list[str], index: int) -> "subprocess.Popen[str]":
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"}
        # A session of its own: an interrupt from the terminal reaches the launcher alone, which passes it on.
        return subprocess.Popen(
            tied(self._command), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip

    def _watch(self) -> int:
        stopped_since: dict[int, float] = {}
        refused_since: float | None = None
        while True:
            codes = [process.poll() for process in self._processes]
            now = time.monotonic()
            for index, process in enumerate(self._processes):
                if codes[index] is None and _is_stopped(process.pid):
                    stopped_since.setdefault(index, now)
                else:
                    stopped_since.pop(index, None)
            for index, code in enumerate(codes):
                if code and _BAD_INPUT not in codes:
                    code = 128 - code if code < 0 else code
                    if code not in _FINAL:
                        self.say(f"worker {index} has ended with exit code {code}")
                        # Whoever waits for a stopped one gives up sooner or later; its death is not the cause.
                        return self._stopped(stopped_since, now) if stopped_since else code
            if _BAD_INPUT in codes:
                refused_since = now if refused_since is None else refused_since
                if None not in codes or now - refused_since >= _LAST_WORDS_SECONDS:
                    self.say(f"worker {codes.index(_BAD_INPUT)} has ended with exit code {_BAD_INPUT}")
                    return _BAD_INPUT
            elif all(code is not None for code in codes):
                return max(code or 0 for code in codes)
            if stopped_since and now - min(stopped_since.values()) >= self._standstill_seconds:
                return self._stopped(stopped_since, now)
            time.sleep(_LOOK_SECONDS)

    def _stopped(self, since: dict[int, float], now: float) -> int:
        index = min(since, key=since.__getitem__)
        self.say(f"worker {index} has been standing still for {now - since[index]:.0f} s")
        return 128 + signal.SIGSTOP

    def _copy(self, index: int, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._write(f"[worker {index}] {line.rstrip()}")

    def say(self, text: str) -> None:
        """One line of the launcher's own."""
        self._write(f"[launch] {text}")

    def _write(self, line: str) -> None:
        with self._lock:
            self._output.write(line + "\n")
            self._output.flush()

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Send a signal to all that run."""
        self.asked_to_end = True
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)


def tied(command: Sequence[str]) -> list[str]:
    """The command line of a process that is asked to end when this one dies; as it is where there is no Linux."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal; known on Linux, elsewhere the other workers notice by themselves."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")

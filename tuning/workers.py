"""Several processes of this machine that train trials at the same time: a chief that decides, workers that ask it.

The chief is this process. It answers over keras-tuner's gRPC service on the loopback address, starts the workers,
puts another one in the place of one that dies, and takes them with it when it dies itself. A worker that is replaced
gets the trial that it had, which goes on from its checkpoint.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent import futures
from types import FrameType
from typing import Any

import grpc
import keras_tuner
from keras_tuner.engine.trial import Trial as TunerTrial
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from tuning.oracles import Surviving
from zoo import training
from zoo.launcher import tied
from zoo.signals import handled

_LOOK_SECONDS = 0.2

# A worker that ends so often without a trial that begins or ends in between will not do better.
_MOST_DEATHS_AT_START = 5

# Trials of a worker: 1.5 MB stay of each whose network has sizes of its own, and a space of somebody's may leave more.
TRIALS = 100
REPLACE = 75

# What a worker ends with whose trial another process still has: one of a chief that is dead, which saves and ends.
BUSY = 76

# What a worker ends with that no other could mend: bad input, or a full disk.
FATAL = 2


class _Chief:
    """What keras-tuner's gRPC service asks. Values stay in the files: messages have numbers in single precision."""

    def __init__(self, oracle: Surviving) -> None:
        self._oracle = oracle

    def create_trial(self, tuner_id: str) -> TunerTrial:
        trial = self._oracle.create_trial(tuner_id)
        return TunerTrial(keras_tuner.HyperParameters(), trial_id=trial.trial_id, status=trial.status)

    def end_trial(self, trial: TunerTrial) -> None:
        self._oracle.end_trial(trial)


def run_workers(oracle: Surviving, *, devices: training.Devices, on_end: Callable[[], None]) -> None:
    """Run all trials in `oracle.workers` processes.

    Args:
        oracle: What decides.
        devices: As `zoo.training.make_strategy` takes them, for each trial.
        on_end: Called after each trial.

    Raises:
        ValueError: A worker cannot work; the message has the end of its log.
        Interruption: A signal has ended the search; the workers have saved their trials.
    """
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=oracle.workers + 1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(_Chief(oracle)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    group = _Group(oracle, port, devices)
    try:
        with handled(group.pass_on):
            group.watch(on_end)
    finally:
        group.end()
        server.stop(grace=None)


class _Group:
    def __init__(self, oracle: Surviving, port: int, devices: training.Devices) -> None:
        self._oracle, self._port, self._devices = oracle, port, devices
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._received = 0

    def watch(self, on_end: Callable[[], None]) -> None:
        """Until all have ended well."""
        names = [f"tuner{index}" for index in range(self._oracle.workers)]
        vain = dict.fromkeys(names, 0)
        marks: dict[str, Any] = {}
        for name in names:
            self._processes[name] = self._start(name)
        ended = len(self._oracle.ended)
        while self._processes:
            time.sleep(_LOOK_SECONDS)
            if len(self._oracle.ended) != ended:
                ended = len(self._oracle.ended)
                on_end()
            for name, process in list(self._processes.items()):
                code = process.poll()
                if code is None:
                    continue
                if code == 0 or self._received:
                    del self._processes[name]
                    continue
                if code == FATAL:
                    raise ValueError(f"Worker {name} gave up: {self._last_words(name)}")
                if code == REPLACE:
                    self._processes[name] = self._start(name)
                    continue
                if code != BUSY:
                    self._oracle.crashed(name, f"signal {-code}" if code < 0 else f"exit code {code}")
                mark = (len(self._oracle.trials), ended, self._oracle.epochs_under_way(name))
                vain[name] = vain[name] + 1 if marks.get(name) == mark else 1
                marks[name] = mark
                if vain[name] > _MOST_DEATHS_AT_START:
                    raise ValueError(f"Worker {name} ended {vain[name]} times in vain: {self._last_words(name)}")
                self._processes[name] = self._start(name)
        if self._received:
            raise training.Interruption(self._received)
        if len(self._oracle.ended) != ended:
            on_end()

    def end(self) -> None:
        """End those that still run."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            process.wait()

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Ask all to save and end."""
        self._received = number
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(self._port),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        command = [sys.executable, "-m", "tuning.worker", str(self._oracle.folder), json.dumps(self._devices)]
        with open(self._oracle.folder / f"{name}.log", "ab") as log:
            # A session of its own: an interrupt from the terminal reaches the chief alone, which passes it on.
            return subprocess.Popen(
                tied(command), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _last_words(self, name: str) -> str:
        lines = (self._oracle.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "it has said nothing")

"""A process of its own for each thing that is measured, told what to do by lines of JSON.

What is compared is so alive at the same time and can take turns, though each has libraries, threads and memory of its
own; one that is not asked sleeps. The side that asks is `Process`, the side that answers `serve`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answers = Mapping[str, Callable[..., Any]]


class MeasurementError(RuntimeError):
    """What was to be measured failed in its process; the message is its own last words."""


class Process:
    """Starts `python -m module` and asks it.

    Args:
        command: What follows the interpreter: `("-m", "package.module")` or the path of a script, and its arguments.
        task: What the process gets to know at the start; anything that JSON can hold.
        processors: Number of processors that it may use; None for all. It gets the first ones of this process, and no
            library starts more threads than that.

    Raises:
        ValueError: There are fewer processors.
    """

    def __init__(self, command: tuple[str, ...], task: Any, processors: int | None = None) -> None:
        available = _available()
        if processors is not None and not 1 <= processors <= len(available):
            raise ValueError(f"threads must be 1 to {len(available)}, the processors here. Received: {processors}")
        count = processors or len(available)
        paths = [str(Path(__file__).parents[3]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),  # the same zoo also for a script
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OMP_NUM_THREADS": str(count),
        }
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (`close` closes it)
        self._process = subprocess.Popen(
            [sys.executable, *command, json.dumps({"processors": available[:count], "task": task})],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            start_new_session=True,  # a library that looks for a terminal would stop it in the background
        )  # fmt: skip

    def ask(self, question: str, **arguments: Any) -> Any:
        """The answer to a question.

        Raises:
            MeasurementError: The process could not answer, or died.
        """
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([question, arguments]) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            if code < 0:  # whatever it said before was about something else
                name = signal.Signals(-code).name
                why = ", as the system does for want of memory" if name == "SIGKILL" else ""
                raise MeasurementError(f"the process was killed by {name}{why}")
            raise MeasurementError(f"the process ended with code {code}: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise MeasurementError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def serve(prepare: Callable[[Any, int], Answers]) -> None:
    """Answer the questions that come on the standard input until it ends.

    Args:
        prepare: Takes the task and the number of processors, and gives the function of each question; it is called
            before the first answer, and what it raises is the answer to all.
    """
    # Libraries print; what they say must not get between the answers.
    answers_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    given = json.loads(sys.argv[-1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, given["processors"])
    functions: Answers | None = None
    for line in sys.stdin:
        question, arguments = json.loads(line)
        try:
            functions = functions or prepare(given["task"], len(given["processors"]))
            answer = {"answer": functions[question](**arguments)}
        except Exception as error:
            text = " ".join(str(error).split())
            answer = {"error": f"{type(error).__name__}: {text[:300]}"}
        print(json.dumps(answer), file=answers_to, flush=True)


def peak_bytes() -> int:
    """The most memory that this process has had in use so far, in bytes.

    Linux keeps it for the program that runs; that of `getrusage` also counts what the process was forked from.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _available() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))

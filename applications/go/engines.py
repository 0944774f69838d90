"""Other programs that play Go, spoken to by GTP version 2 (https://www.lysator.liu.se/~gunnar/gtp/)."""

import contextlib
import os
import queue
import shlex
import shutil
import subprocess
import threading
from collections.abc import Sequence

from zoo.data.go import BLACK, Geometry

# Seconds after which an engine that says nothing is given up.
TIMEOUT = 120.0


class EngineError(RuntimeError):
    """An engine that refused a command, stopped, or did not answer."""


class Engine:
    """A running engine.

    Args:
        command: Program and arguments, as a list or as a shell would split it. Names are looked up on the path, and in
            /usr/games, where Debian puts games.
        timeout: Seconds that one answer may take.

    Raises:
        EngineError: There is no such program.
    """

    def __init__(self, command: str | Sequence[str], *, timeout: float = TIMEOUT) -> None:
        words = shlex.split(command) if isinstance(command, str) else list(command)
        program = find_program(words[0]) if words else None
        if program is None:
            raise EngineError(f"There is no program {words[0] if words else ''!r}. Install it, or give its path.")
        self.command = [program, *words[1:]]
        self.timeout = timeout
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

    def send(self, command: str) -> str:
        """Send a command and return the answer without its sign.

        Raises:
            EngineError: The engine refused the command ("? …"), stopped, or took too long.
        """
        return self.send_all([command])[0]

    def send_all(self, commands: Sequence[str]) -> list[str]:
        """Send commands at once and return all answers: many short ones take a fraction of the time.

        Raises:
            EngineError: As `send`, for the first command that was refused.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("".join(command + "\n" for command in commands))
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise EngineError(f"{self.command[0]} has stopped (exit code {self._process.poll()}).") from None
        texts = [self._answer(command) for command in commands]
        for command, text in zip(commands, texts, strict=True):
            if text.startswith("?"):
                raise EngineError(f"{self.command[0]} refused {command!r}: {text[1:].strip()}")
        return [text[1:].strip() for text in texts]

    def _answer(self, command: str) -> str:
        """The next answer, with its sign."""
        lines: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=self.timeout)
            except queue.Empty:
                raise EngineError(f"{self.command[0]} did not answer {command!r} in {self.timeout:g} s.") from None
            if line is None:
                self._process.wait(5)
                raise EngineError(f"{self.command[0]} stopped at {command!r} (exit code {self._process.returncode}).")
            if line:
                lines.append(line)
            elif lines and lines[0][:1] in "=?":
                break
            else:
                lines.clear()  # what some engines say before the answer
        return "\n".join(lines)

    def play(self, board: Geometry, colour: int, point: int) -> None:
        """Tell a move."""
        self.send(f"play {'b' if colour == BLACK else 'w'} {board.vertex(point)}")

    def genmove(self, board: Geometry, colour: int) -> int | None:
        """Ask for a move: its point, or None where the engine resigns."""
        answer = self.send(f"genmove {'b' if colour == BLACK else 'w'}")
        return None if answer.lower() == "resign" else board.point(answer)

    def close(self) -> None:
        """End the engine."""
        if self._process.poll() is None:
            try:
                self.timeout = min(self.timeout, 5.0)
                self.send("quit")
                self._process.wait(5)
            except (EngineError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_program(name: str) -> str | None:
    """The path of a program, also where Debian puts games; None where there is none."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/games"]))


def gnugo(*, level: int = 1, seed: int = 0, rules: str = "chinese") -> list[str]:
    """The command of GNU Go; level 0 to 10, rules "chinese" or "japanese"."""
    return ["gnugo", "--mode", "gtp", "--level", str(level), "--seed", str(seed), f"--{rules}-rules"]

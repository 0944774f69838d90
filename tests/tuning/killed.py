"""A search that is killed at random moments and started again, for test_survival.

    python killed.py FOLDER TRIALS KILLS SEED

TensorFlow is imported once, and each session is a fork of this process, which does not use it itself: a session then
begins without the seconds of that import. Prints after how many seconds each kill came.
"""

import io
import os
import random
import signal
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A session needs about this long to its first step, and for a trial.
LONGEST_SECONDS = 4.0


def session(folder, trials):
    """One session, from its beginning to the end of the search."""
    import rich.console

    import tuning

    tuning.search(
        "simple_cnn", out=folder, space="model", tuner="random", trials=trials, seed=3, epochs=4,
        console=rich.console.Console(file=io.StringIO()),
    )  # fmt: skip


def main(folder, trials, kills, seed):
    import keras_tuner  # noqa: F401
    import sklearn.ensemble  # noqa: F401

    import tuning.report
    import tuning.searching
    import tuning.tuner  # noqa: F401

    chance = random.Random(seed)
    while True:
        child = os.fork()
        if child == 0:
            session(folder, trials)
            os._exit(0)
        seconds = chance.uniform(0.2, LONGEST_SECONDS)
        began = time.monotonic()
        ended, status = 0, 0
        while not ended and (kills == 0 or time.monotonic() - began < seconds):
            time.sleep(0.01)
            ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills -= 1
        print(f"{seconds:.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))

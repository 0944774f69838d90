"""A worker of a search, started by `tuning.workers`: asks the chief for trials and trains them.

python -m tuning.worker FOLDER DEVICES
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(folder: str, devices: str) -> int:
    """Train trials until the chief has no more; returns an exit code."""
    import keras_tuner

    from tuning.plan import Plan
    from tuning.records import open_search
    from tuning.tuner import Tuner
    from tuning.workers import BUSY, FATAL, REPLACE, TRIALS
    from zoo.training import RunInUse

    search = open_search(folder)
    plan = Plan.from_json(search.config)
    # keras-tuner puts its gRPC client, which it finds by the environment, in the place of this oracle.
    stand_in = keras_tuner.Oracle(objective=plan.objective)
    try:
        complete = Tuner(plan, Path(folder), stand_in, devices=json.loads(devices)).search(most=TRIALS)
    except RunInUse as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return BUSY
    except OSError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FATAL
    return 0 if complete else REPLACE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

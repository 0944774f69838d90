"""A run: a registered model trained on a data set, and the folder that it leaves.

    from zoo import runs

    runs.train(runs.Settings(model="resnet20", data="digits", seed=1), "runs/a")
    runs.open_run("runs/a").evaluate("test")

The folder holds `config.json` (everything needed to repeat), `metrics.jsonl`, `timing.jsonl`, `tensorboard/`, `best/`
(weights), `result.json`, `report.html` and `figures/`. This package joins what does not know of each other: registry,
data, training and report; the command line calls it.
"""

from zoo.runs.run import Run, open_run
from zoo.runs.settings import Settings
from zoo.runs.training import model_arguments, prepare, run_of_weights, train

__all__ = ["Run", "Settings", "model_arguments", "open_run", "prepare", "run_of_weights", "train"]

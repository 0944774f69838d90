"""keras-tuner's loop over trials, each trained by `zoo.runs.train`."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial as TunerTrial

from tuning import trials
from tuning.oracles import IDLE, STOPPED, trial_folder
from tuning.plan import Plan
from zoo import training

# Seconds until a tuner asks again that had to wait for the end of others' trials.
_WAIT_SECONDS = 0.2


class Tuner(BaseTuner):
    """Trains one trial after the other as an oracle says, in this process.

    Args:
        plan: The search.
        folder: Its folder.
        oracle: The oracle; of several workers each has a stand-in that asks the chief's.
        devices: As `zoo.training.make_strategy` takes them, for each trial.
        on_end: Called after each trial.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        oracle: keras_tuner.Oracle,
        *,
        devices: training.Devices = "auto",
        on_end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)
        self._plan, self._folder, self._devices, self._on_end = plan, folder, devices, on_end

    def search(self, most: int | None = None) -> bool:
        """Run trials until the oracle has no more, or until `most` are done; returns whether it has no more."""
        with trials.imports_set_aside():
            return self._search(most)

    def _search(self, most: int | None) -> bool:
        done = 0
        while most is None or done < most:
            trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == STOPPED:
                break
            if trial.status == IDLE:
                time.sleep(_WAIT_SECONDS)
                continue
            outcome = self.run_trial(trial)
            trial.status = outcome["status"]
            self.oracle.end_trial(trial)
            done += 1
            if self._on_end:
                self._on_end()
        else:
            return False
        return True

    def run_trial(self, trial: TunerTrial) -> dict[str, Any]:
        """Train a trial; one whose outcome is written already, by a process that died then, is not trained again."""
        folder = trial_folder(self._folder, trial.trial_id)
        written = folder / trials.OUTCOME
        if written.is_file():
            return json.loads(written.read_text(encoding="utf-8"))
        # keras-tuner's messages carry numbers in single precision; the file has them as they are.
        state = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        root = trial.trial_id.partition("-")[0]
        return trials.outcome(
            self._plan,
            state["hyperparameters"]["values"],
            int(root),
            folder=folder,
            root=trial_folder(self._folder, root),
            devices=self._devices,
        )

    def save(self) -> None:
        """Nothing: the oracle keeps what there is to keep."""

    def reload(self) -> None:
        """Nothing, likewise."""

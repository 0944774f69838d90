"""From a trained network to answers, fast: folding, engines, the predictor and files for other runtimes.

from zoo.deploy import Predictor

predictor = Predictor("runs/a")          # the fastest engine that is installed and agrees with Keras
print(predictor.why)
predictor(images)                        # any number of them, from any thread
predictor.submit(image).result()         # gathered with those of other threads
"""

from zoo.deploy import engines
from zoo.deploy.exports import Export, export, open_export
from zoo.deploy.folding import fold
from zoo.deploy.precision import in_bfloat16
from zoo.deploy.predictor import Predictor, example_inputs

__all__ = ["Export", "Predictor", "engines", "example_inputs", "export", "fold", "in_bfloat16", "open_export"]

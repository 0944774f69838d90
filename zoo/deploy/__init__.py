"""From a trained network to answers, fast: folding, engines and the predictor.

from zoo.deploy import Predictor

predictor = Predictor("runs/a")          # the fastest engine that is installed and agrees with Keras
print(predictor.why)
predictor(images)                        # any number of them, from any thread
predictor.submit(image).result()         # gathered with those of other threads
"""

from zoo.deploy import engines
from zoo.deploy.folding import fold
from zoo.deploy.precision import in_bfloat16
from zoo.deploy.predictor import Predictor, example_inputs

__all__ = ["Predictor", "engines", "example_inputs", "fold", "in_bfloat16"]

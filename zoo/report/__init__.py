"""The report of a training: figures as PNG files and one self-contained HTML page.

Takes plain data (the configuration, the metrics of each epoch, an `Evaluation`) and knows no model, no family and no
TensorFlow.
"""

from zoo.report.looked_at import LookedAt
from zoo.report.page import write_report
from zoo.report.scores import Evaluation

__all__ = ["Evaluation", "LookedAt", "write_report"]

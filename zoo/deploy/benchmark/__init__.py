"""How fast a network is in each of the forms that it can be run in, ours and those of other libraries side by side.

    from zoo.deploy import benchmark

    rows = benchmark.forms("resnet50", None, ["float32"], ["torchvision"])
    found = benchmark.compare("resnet50", rows, batch_sizes=[1])
    print(benchmark.markdown(found))

The command line's `zoo benchmark` is the same.
"""

from zoo.deploy.benchmark.measuring import Comparison, Form, Measured, compare, forms, machine
from zoo.deploy.benchmark.peers import NETWORKS, PEERS
from zoo.deploy.benchmark.process import MeasurementError
from zoo.deploy.benchmark.tables import markdown, page, picture, ratios

__all__ = [
    "NETWORKS",
    "PEERS",
    "Comparison",
    "Form",
    "Measured",
    "MeasurementError",
    "compare",
    "forms",
    "machine",
    "markdown",
    "page",
    "picture",
    "ratios",
]

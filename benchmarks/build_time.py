"""How long it takes to build a network: ours beside keras.applications, both without weights from a file.

    python benchmarks/build_time.py
    python benchmarks/build_time.py --repeats 3 --models resnet50 vgg16

Each build has a process of its own, since a second build in the same one finds much warm; ours and theirs take turns.
Only the call of the builder is timed. Prints medians in seconds, and the ratio, as a table in Markdown.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

# Our name, theirs, and what makes theirs the same network.
MODELS = {
    "resnet50": ("ResNet50", {}),
    "resnet101": ("ResNet101", {}),
    "resnet152": ("ResNet152", {}),
    "resnet50_v2": ("ResNet50V2", {}),
    "densenet121": ("DenseNet121", {}),
    "densenet201": ("DenseNet201", {}),
    "mobilenet": ("MobileNet", {}),
    "mobilenet_v2": ("MobileNetV2", {}),
    "mobilenet_v3_large": ("MobileNetV3Large", {"include_preprocessing": False}),
    "inception_v3": ("InceptionV3", {}),
    "inception_resnet_v2": ("InceptionResNetV2", {}),
    "vgg16": ("VGG16", {}),
    "vgg19": ("VGG19", {}),
}

_BUILD = """
import time
import keras
{preparation}
began = time.perf_counter()
{call}
print(time.perf_counter() - began)
"""


def seconds(preparation: str, call: str) -> float:
    """Time of one build in a new process."""
    code = _BUILD.format(preparation=preparation, call=call)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    output = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return float(output.stdout.split()[-1])


def compared(name: str, repeats: int) -> tuple[float, float]:
    """Median build time of ours and of theirs."""
    function, options = MODELS[name]
    arguments = "".join(f", {key}={value!r}" for key, value in options.items())
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds("import zoo; zoo.list_models()", f"zoo.models.{name}()"))
        theirs.append(seconds("", f"keras.applications.{function}(weights=None{arguments})"))
    return statistics.median(ours), statistics.median(theirs)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="builds of each (default: 5)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL",
                        help=f"of {', '.join(MODELS)} (default: all)")  # fmt: skip
    options = parser.parse_args(arguments)
    print("| model | ours, s | keras.applications, s | ours / theirs |\n| --- | ---: | ---: | ---: |")
    ratios = []
    for name in options.models:
        ours, theirs = compared(name, options.repeats)
        ratios.append(ours / theirs)
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {ratios[-1]:.2f} |", flush=True)
    print(f"| median | | | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()

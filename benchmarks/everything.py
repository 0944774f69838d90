"""The whole table: our networks beside keras.applications, torchvision and timm, with the targets and by how much.

    python benchmarks/everything.py --results everything.jsonl --markdown benchmarks/results/everything.md
    python benchmarks/everything.py --quick --results quick.jsonl
    python benchmarks/everything.py --parts inference --models resnet50 mobilenet_v2 --precisions bfloat16

Inference at batch 1 and 16, build, first and later training steps beside `model.fit`, training beside torchvision, and
our network in each engine and in int8; in bfloat16 where the processor computes it, and int8 is beside float32 alone
elsewhere. Of ours and of the peers every form is measured and the best counts, also without what PyTorch makes of
frozen weights; `--quick` measures three networks, and of PyTorch's forms those that are expected to win, and with
names it does so in these alone, for all networks. Each answer is one line of the results' file: a run that was killed
goes on where it was, and what was measured with other options is refused. The tables are written again after each
answer. One machine, nothing else running: the load at the start is told.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import build_time
import train_peers
import train_step

from zoo import files
from zoo.deploy import benchmark
from zoo.deploy.benchmark import peers, tables

MODELS = (
    "resnet50", "resnet152", "densenet121", "densenet201", "inception_v3", "inception_resnet_v2", "mobilenet",
    "mobilenet_v2", "mobilenet_v3_large", "vgg16", "squeezenet1_0", "alexnet",
)  # fmt: skip
QUICK_MODELS = ("resnet50", "mobilenet_v2", "mobilenet")
TRAINED, QUICK_TRAINED = ("resnet50", "mobilenet_v2"), ("resnet50",)
PRECISIONS = ("float32", "bfloat16", "int8")
PARTS = ("inference", "build", "steps", "training")
BATCHES = (1, 16)

# What is aimed at: how many times as fast as the best of the peers, on how many of twelve networks; never below 1.
TARGETS = {"float32": 1.5, "bfloat16": 2.0}
NUM_AIMED, NUM_NETWORKS = 10, 12
INT8_TARGET = 1.3  # against bfloat16, where the processor has AMX or VNNI
BUILD_TARGET, FIRST_STEP_TARGET, STEADY_TARGET, TRAINING_TARGET = 0.5, 1 / 3, 1.15, 1.0

# With `--quick` what is expected to win, and what costs nothing: compiling takes most of the time, and so does int8 in
# all engines.
FROZEN, NOT_FROZEN = "compiled, frozen", ("compiled", "compiled, channels last")
QUICK_FORMS = (FROZEN, "eager, channels last")
QUICK_INT8 = ("tensorflow", "openvino")
QUICK_TRAINING = ("Trainer", "model.fit", "compiled, channels last")
QUICK = ("inference", "int8", "training")


class Results:
    """The lines of a file, each an answer with its key; those of an earlier run with the same options are kept.

    Args:
        path: The file; None keeps nothing.
        options: What the answers depend on.

    Raises:
        ValueError: The file holds answers to other options.
    """

    def __init__(self, path: Path | None, options: dict[str, Any]) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        if path is None:
            return
        if path.exists():
            first, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if first["options"] != options:
                raise ValueError(
                    f"{path} was measured with other options: {first['options']}. Received: {options}. Give another "
                    "file, or delete this one."
                )
            self._known = {line["key"]: line["answer"] for line in lines}
        else:
            files.append_line(path, {"options": options})

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """The answer of that key, measured if it is not known."""
        if key not in self._known:
            self._known[key] = measure()
            if self._path is not None:
                files.append_line(self._path, {"key": key, "answer": self._known[key]})
        return self._known[key]


def computes_bfloat16(machine: dict[str, Any]) -> bool:
    """Whether the processor does so itself, as `benchmark.machine()` tells it."""
    return not {"AMX", "AVX512-BF16"}.isdisjoint(machine["extensions"])


def inference(model: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """All forms of a network in a precision; int8 has no peers, and is measured beside ours in wider ones."""
    if precision == "int8":
        rows = benchmark.forms(model, None, list(dict.fromkeys(["float32", options.wide, "int8"])))
        rows = [row for row in rows if "int8" not in options.quick or row.form in QUICK_INT8]
        return _compared(model, rows, options)
    have = benchmark.NETWORKS[model]
    others = [peer for peer in options.peers if peer not in have or have[peer]]
    if options.one_torch and "torchvision" in others and "timm" in others:
        others.remove("timm")
    rows = benchmark.forms(model, None, [precision], others)
    if "inference" in options.quick:
        rows = [row for row in rows if row.who not in ("torchvision", "timm") or row.form in QUICK_FORMS]
    return _compared(model, rows, options)


def _compared(model: str, rows: Sequence[benchmark.Form], options: argparse.Namespace) -> dict[str, Any]:
    found = benchmark.compare(
        model, rows, batch_sizes=BATCHES, repeats=options.repeats, seconds=options.seconds, progress=told
    )
    return found.to_dict()


def steps(options: argparse.Namespace) -> dict[str, Any]:
    """First step and steady steps of ResNet-50, the Trainer's and those of `model.fit`."""
    arguments = argparse.Namespace(model="resnet50", image_size=224, batch_size=8, steps=5, rounds=options.rounds)
    told("resnet50: first step")
    answer: dict[str, Any] = {who: train_step.in_process(arguments, who, "sgd") for who in ("ours", "fit")}
    told("resnet50: steady steps")
    answer["steady"] = train_step.in_process(arguments, "steps", "sgd")
    return answer


def told(text: str) -> None:
    """Say what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def verdict(value: float, target: float, *, is_least: bool = True) -> str:
    """Whether a target is hit, and by how much it is missed."""
    if value >= target if is_least else value <= target:
        return "hit"
    return f"missed: {value:.2f}, not {target:.2f}"


def inference_table(comparisons: Sequence[benchmark.Comparison]) -> list[str]:
    """The best of ours against the best of the libraries, and what they come to; again without frozen weights, where
    other compiled forms were measured.

    A library's forms are those it comes with; ours through Keras's export is nobody's, and does not count here.
    """
    others = any(row.form.form in NOT_FROZEN for comparison in comparisons for row in comparison.measured)
    lines = ["| network | precision | batch | best of ours | ms | best peer | ms | times | target |",
             "| --- | --- | ---: | --- | ---: | --- | ---: | ---: | --- |"]  # fmt: skip
    if others:
        lines = [lines[0] + " best peer without frozen weights | ms | times |", lines[1] + " --- | ---: | ---: |"]
    times: dict[tuple[str, int, str], dict[str, float]] = {}
    for comparison in comparisons:
        rows = [row for row in comparison.measured if row.form.who in (peers.OURS, *peers.LIBRARIES)]
        thawed = [row for row in rows if row.form.form != FROZEN]
        for ours, theirs in benchmark.ratios(dataclasses.replace(comparison, measured=tuple(rows))):
            precision, batch = ours.form.precision, ours.batch
            ratio = theirs.p50_ms / ours.p50_ms
            times.setdefault((precision, batch, ""), {})[comparison.model] = ratio
            lines.append(
                f"| {comparison.model} | {precision} | {batch} | {ours.form.form} | {ours.p50_ms:.1f} | "
                f"{theirs.form.who}, {theirs.form.form} | {theirs.p50_ms:.1f} | {ratio:.2f} | "
                f"{verdict(ratio, TARGETS[precision])} |"
            )
            if any(row.form.form in NOT_FROZEN for row in thawed):
                other = tables.best(thawed, precision, batch, is_ours=False)
                assert other, "there is one that is not frozen"
                gain = other.p50_ms / ours.p50_ms
                times.setdefault((precision, batch, ", without frozen weights"), {})[comparison.model] = gain
                lines[-1] += f" {other.form.who}, {other.form.form} | {other.p50_ms:.1f} | {gain:.2f} |"
            elif others:
                lines[-1] += " | | |"
    lines.append("")
    for (precision, batch, which), ratios in sorted(times.items(), key=lambda item: item[0][2]):
        target = TARGETS[precision]
        reached = sum(ratio >= target for ratio in ratios.values())
        slowest = min(ratios, key=ratios.__getitem__)
        aim = f"aimed at: {NUM_AIMED} of {NUM_NETWORKS}" if len(ratios) == NUM_NETWORKS else "a subset"
        lines.append(
            f"- {precision}, batch {batch}{which}: at least {target:g} times on {reached} of {len(ratios)} networks "
            f"({aim}); lowest {ratios[slowest]:.2f} ({slowest}), median {statistics.median(ratios.values()):.2f}"
        )
    return lines


def forms_table(comparisons: Iterable[benchmark.Comparison]) -> list[str]:
    """Every form: milliseconds at each batch size, memory, and the seconds until it answers."""
    lines = [f"| network | form | precision | {' | '.join(f'ms at {batch}' for batch in BATCHES)} | images/s at "
             f"{BATCHES[-1]} | peak MB | build s | ready s |",
             f"| --- | --- | --- | {'---: | ' * (len(BATCHES) + 4)}".rstrip()]  # fmt: skip
    for comparison in comparisons:
        for form in dict.fromkeys(row.form for row in comparison.measured):
            rows = {row.batch: row for row in comparison.measured if row.form == form}
            last = rows[BATCHES[-1]]
            speeds = " | ".join(f"{rows[batch].p50_ms:.1f}" for batch in BATCHES)
            lines.append(
                f"| {comparison.model} | {form.who}, {form.form} | {form.precision} | {speeds} | "
                f"{last.images_per_s:.1f} | {last.peak_mb:.0f} | {last.build_s:.2f} | {rows[BATCHES[0]].ready_s:.1f} |"
            )
        lines += [f"| {comparison.model} | {form.who}, {form.form} | {form.precision} | failed: {why} |" + " |" * (
            len(BATCHES) + 3) for form, why in comparison.failed.items()]  # fmt: skip
    return lines


def build_table(seconds: dict[str, Sequence[float]]) -> list[str]:
    """Build times of ours and of keras.applications."""
    lines = ["| network | ours, s | keras.applications, s | ours / theirs | target: at most 0.5 |",
             "| --- | ---: | ---: | ---: | --- |"]  # fmt: skip
    for model, (ours, theirs) in seconds.items():
        told_ = verdict(ours / theirs, BUILD_TARGET, is_least=False)
        lines.append(f"| {model} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} | {told_} |")
    return lines


def steps_table(answer: dict[str, Any]) -> list[str]:
    """First and steady steps of ResNet-50 beside `model.fit`."""
    first = answer["ours"] / answer["fit"]
    steady = answer["steady"]["fit"] / answer["steady"]["ours"]
    rates = {who: 8 / answer["steady"][who] for who in ("ours", "fit")}
    return [
        "| ResNet-50, batches of 8, SGD | Trainer | `model.fit` | ratio | target |",
        "| --- | ---: | ---: | ---: | --- |",
        f"| first step, s | {answer['ours']:.2f} | {answer['fit']:.2f} | {first:.2f} | "
        f"{verdict(first, FIRST_STEP_TARGET, is_least=False)} |",
        f"| images/s afterwards | {rates['ours']:.2f} | {rates['fit']:.2f} | {steady:.2f} | "
        f"{verdict(steady, STEADY_TARGET)} |",
    ]


def training_table(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Training of each form, and ours against the best of torchvision's."""
    lines = ["| network | precision | ours, images/s | best of torchvision | images/s | model.fit, images/s | times | "
             "target: at least 1 |", "| --- | --- | ---: | --- | ---: | ---: | ---: | --- |"]  # fmt: skip
    for key, found in rows.items():
        model, precision = key.split()
        speed = {(row["who"], row["form"]): row["images_per_s"] for row in found if "failed" not in row}
        ours, fit = speed.get(("zoo", "Trainer")), speed.get(("keras.applications", "model.fit"))
        torch = {form: value for (who, form), value in speed.items() if who == "torchvision"}
        if ours is None or not torch:
            lines.append(f"| {model} | {precision} | failed | | | | | |")
            continue
        form = max(torch, key=torch.__getitem__)
        lines.append(
            f"| {model} | {precision} | {ours:.2f} | {form} | {torch[form]:.2f} | {f'{fit:.2f}' if fit else ''} | "
            f"{ours / torch[form]:.2f} | {verdict(ours / torch[form], TRAINING_TARGET)} |"
        )
    return lines


def int8_table(comparisons: Iterable[benchmark.Comparison]) -> list[str]:
    """Our best in int8 against our best in what was measured beside it, of those comparisons that have both."""
    lines = ["| network | batch | beside | ms | int8 | ms | times | target |",
             "| --- | ---: | --- | ---: | --- | ---: | ---: | --- |"]  # fmt: skip
    for comparison in comparisons:
        for batch, precision in itertools.product(BATCHES, ("float32", "bfloat16")):
            wide = tables.best(comparison.measured, precision, batch, is_ours=True)
            low = tables.best(comparison.measured, "int8", batch, is_ours=True)
            if wide and low:
                ratio = wide.p50_ms / low.p50_ms
                lines.append(
                    f"| {comparison.model} | {batch} | {precision}, {wide.form.form} | {wide.p50_ms:.1f} | "
                    f"{low.form.form} | {low.p50_ms:.1f} | {ratio:.2f} | {verdict(ratio, INT8_TARGET)} |"
                )
    return lines


def engines_table(comparisons: Iterable[benchmark.Comparison]) -> list[str]:
    """Our network in each engine, and how many times as fast as TensorFlow's at the same precision it is."""
    lines = ["| network | precision | engine | ms at 1 | ms at 16 | times TensorFlow, batch 1 | batch 16 |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for comparison in comparisons:
        speed = {(row.form, row.batch): row.p50_ms for row in comparison.measured if row.form.who == "zoo"}
        for form in dict.fromkeys(form for form, _ in speed):
            base = benchmark.Form("zoo", "tensorflow", form.precision)
            if (base, 1) not in speed:
                continue
            gains = " | ".join(f"{speed[base, batch] / speed[form, batch]:.2f}" for batch in BATCHES)
            lines.append(
                f"| {comparison.model} | {form.precision} | {form.form} | {speed[form, 1]:.1f} | {speed[form, 16]:.1f} "
                f"| {gains} |"
            )
    return lines


def page(answers: dict[str, Any], machine: dict[str, Any], command: str) -> str:
    """The whole file in Markdown."""
    found = {key: benchmark.Comparison.from_dict(answer) for key, answer in answers["inference"].items()}
    quantised = [comparison for key, comparison in found.items() if key.endswith("int8")]
    comparisons = [comparison for key, comparison in found.items() if not key.endswith("int8")]
    text = [tables.page([], machine, command).replace("# Benchmark", "# Everything, beside its peers").rstrip(), ""]
    if not computes_bfloat16(machine):
        text += ["Without AMX and AVX512-BF16, as here, bfloat16 is left out, and int8 is beside float32.", ""]
    sections: tuple[tuple[str, Callable[[Any], list[str]], Any], ...] = (
        ("Inference: the best of our forms against the best of the peers'", inference_table, comparisons),
        ("Our networks in int8", int8_table, quantised),
        ("Our networks in each engine", engines_table, comparisons),
        ("Training beside torchvision, batches of 16, SGD with momentum", training_table, answers["training"]),
        ("First step and later ones beside `model.fit`", steps_table, answers["steps"]),
        ("Build, without weights from a file", build_table, answers["build"]),
        ("Every form", forms_table, [*comparisons, *quantised]),
    )
    for title, table, rows in sections:
        if rows:
            text += [f"## {title}", "", *table(rows), ""]
    return "\n".join(text)


def measured(
    options: argparse.Namespace, results: Results, publish: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The answers of all parts that are asked for, from the file or measured; `publish` gets them after each one."""
    answers: dict[str, Any] = {"inference": {}, "build": {}, "steps": None, "training": {}}
    pairs = [(model, precision) for model in options.models for precision in options.precisions]
    if "inference" in options.parts:
        for model, precision in pairs:
            key = f"{model} {precision}"
            answers["inference"][key] = results.get(f"inference {key}", partial(inference, model, precision, options))
            publish(answers)
    if "steps" in options.parts:
        answers["steps"] = results.get("steps", partial(steps, options))
        publish(answers)
    if "build" in options.parts:
        for model in options.models:
            if model in build_time.MODELS:
                told(f"{model}: build")
                measure = partial(build_time.compared, model, options.rounds)
                answers["build"][model] = results.get(f"build {model}", measure)
                publish(answers)
    if "training" in options.parts:
        forms = [row for row in train_peers.FORMS if "training" not in options.quick or row[1] in QUICK_TRAINING]
        for model in options.trained:
            for precision in [name for name in options.precisions if name in train_peers.PRECISIONS]:
                key = f"{model} {precision}"
                measure = partial(train_peers.compared, model, precision, forms, repeats=options.rounds, progress=told)
                answers["training"][key] = results.get(f"training {key}", measure)
                publish(answers)
    return answers


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=benchmark.NETWORKS, metavar="MODEL",
                        help=f"networks (default: {' '.join(MODELS)})")  # fmt: skip
    parser.add_argument("--trained", nargs="+", choices=benchmark.NETWORKS, metavar="MODEL",
                        help=f"networks of the part training (default: {' '.join(TRAINED)})")  # fmt: skip
    parser.add_argument("--peers", nargs="+", choices=peers.PEERS, default=peers.LIBRARIES, metavar="PEER",
                        help=f"of {', '.join(peers.PEERS)} (default: {' '.join(peers.LIBRARIES)})")  # fmt: skip
    parser.add_argument("--one-torch", action="store_true", help="timm only where torchvision lacks the network: each "
                        "form has a process, and eleven of VGG-16 are more than 24 GB hold")  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="(default: all)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS,
                        help="(default: all, bfloat16 where the processor computes it)")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=7, help="rounds of inference (default: 7)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a form in a round, at least (default: 0.3)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of training, builds of a network (default: 3)")
    parser.add_argument("--quick", nargs="*", choices=QUICK, metavar="WHAT", help="three networks, and the forms that "
                        f"are expected to win; of {', '.join(QUICK)} the named alone, and all networks")  # fmt: skip
    parser.add_argument("--results", type=Path, help="file of JSON lines; a killed run goes on there (default: none)")
    parser.add_argument("--markdown", type=Path, help="file for the tables, besides printing them (default: none)")
    options = parser.parse_args(arguments)
    is_all_quick = options.quick == []
    options.quick = list(QUICK) if is_all_quick else options.quick or []
    options.models = options.models or list(QUICK_MODELS if is_all_quick else MODELS)
    options.trained = options.trained or list(QUICK_TRAINED if is_all_quick else TRAINED)
    options.one_torch |= is_all_quick
    machine = benchmark.machine()
    options.wide = "bfloat16" if computes_bfloat16(machine) else "float32"
    options.precisions = options.precisions or list(dict.fromkeys(["float32", options.wide, "int8"]))
    kept = {name: getattr(options, name) for name in ("repeats", "seconds", "rounds", "quick", "one_torch")}
    kept["peers"] = list(options.peers)
    try:
        results = Results(options.results, {**kept, "processor": machine["processor"], "versions": machine["versions"]})
    except ValueError as error:
        parser.error(str(error))
    command = "python benchmarks/everything.py " + " ".join(sys.argv[1:] if arguments is None else arguments)

    def publish(answers: dict[str, Any]) -> None:
        if options.markdown:
            files.write_atomic(options.markdown, page(answers, machine, command.strip()))

    answers = measured(options, results, publish)
    print(page(answers, machine, command.strip()), end="")
    return answers


if __name__ == "__main__":
    main()

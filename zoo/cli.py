"""The command `zoo`. What it does lives elsewhere; here are its options and what it prints.

Other packages add subcommands through the entry-point group `zoo.commands`: each entry point is a function that takes
the subparsers and adds a parser with `set_defaults(run=…)`, where `run` takes the parsed arguments.

TensorFlow is imported after the arguments are parsed, so that help and refusals come at once.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from zoo.messages import DATA_FORMS
from zoo.options import FORMATS, literal

if TYPE_CHECKING:
    import rich.table

    from zoo.registry import Card
    from zoo.training import Recipe

GAVE_UP, BAD_INPUT = 1, 2

# What `zoo.training.Hyperparameters` and `zoo.deploy.Predictor` take; said here again, as help comes before TensorFlow
# is imported.
OPTIMIZERS = (
    "adamw", "sgd", "torch_sgd", "rmsprop", "lamb", "lars", "novograd", "adam", "nadam", "lion", "adagrad", "adadelta"
)  # fmt: skip
ENGINES = ("auto", "tensorflow", "openvino", "onnxruntime", "litert")
# Which extra brings a package that is imported where it is needed.
EXTRAS = {
    "keras_tuner": "tune", "optuna": "optuna", "skimage": "vision", "sacrebleu": "caption", "soundfile": "audio",
    "tensorflow_datasets": "data", "torch": "torch",
}  # fmt: skip
PRECISIONS = ("float32", "bfloat16")
SCHEDULES = ("constant", "cosine", "polynomial", "exponential", "multi_step", "one_cycle")


class _Parser(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None, *, add: Sequence[Callable[[Any], None]] = ()) -> int:
    """Run the command line and return its exit code.

    0; 1 for a training that gave up; 2 for bad input; 130 after an interrupt, 143 after SIGTERM.

    Args:
        argv: Arguments without the program's name; None for those of the process.
        add: What adds further subcommands, of an application that is run without being installed.
    """
    arguments = _parser(add).parse_args(argv)
    try:
        if arguments.command == "launch":
            return _launch(arguments)
        with _quiet():
            _start_tensorflow()
        arguments.run(arguments)
    except _gave_up() as error:
        if arguments.traceback:
            raise
        print(f"zoo {arguments.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return GAVE_UP
    except ImportError as error:
        if arguments.traceback or (error.name or "").partition(".")[0] in ("zoo", "tuning", "applications"):
            raise
        print(f"zoo {arguments.command}: error: {error}{_advice(error)}", file=sys.stderr)
        return BAD_INPUT
    except (ValueError, TypeError, OSError) as error:
        if arguments.traceback:
            raise
        print(f"zoo {arguments.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130
    return 0


def _advice(error: ImportError) -> str:
    """What brings a package that is missing, where one of the extras does."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    return f'. Run: pip install "cnn-zoo[{extra}]"' if extra else ""


def _gave_up() -> tuple[type[Exception], ...]:
    """The errors of a training that cannot go on; known once a training was asked for."""
    training = sys.modules.get("zoo.training")
    return () if training is None else (training.NonFiniteLossError, training.RunInUse)


def _parser(further: Sequence[Callable[[Any], None]] = ()) -> argparse.ArgumentParser:
    parser = _Parser(prog="zoo", description="Convolutional networks for Keras 3: list, train, evaluate, predict.")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    adders = (
        _add_list, _add_info, _add_recipes, _add_train, _add_launch, _add_evaluate, _add_predict, _add_export,
        _add_report, _add_weights, _add_check_data, _add_shard, _add_benchmark,
    )  # fmt: skip
    for add in adders:
        add(commands)
    for entry_point in importlib.metadata.entry_points(group="zoo.commands"):
        if (adder := entry_point.load()) not in further:
            adder(commands)
    for adder in further:
        adder(commands)
    return parser


def _add_list(commands: Any) -> None:
    parser = commands.add_parser("list", help="list the registered models")
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern on the name (default: all)")
    parser.add_argument("--modality", help="only image, audio, text, board or signal (default: all)")
    parser.add_argument("--family", help="only this family, such as resnet (default: all)")
    parser.add_argument("--weights", action="store_true", help="only models with published weights")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--names", action="store_true", help="print names alone, one a line")
    form.add_argument("--markdown", action="store_true", help="print the table of the README")
    parser.set_defaults(run=_list)


def _list(arguments: argparse.Namespace) -> None:
    import zoo

    names = zoo.list_models(
        arguments.pattern,
        modality=arguments.modality,
        family=arguments.family,
        weights=True if arguments.weights else None,
    )
    if arguments.names:
        print("\n".join(names))
    elif arguments.markdown:
        print(markdown_table([zoo.model_card(name) for name in names]))
    else:
        rows = [_row(zoo.model_card(name)) for name in names]
        _print(_table(_HEADER, rows, right=(1, 2, 3, 4, 5), title=f"{len(names)} models"))


_HEADER = ("name", "year", "parameters", "multiply-accumulates", "top-1 %", "top-5 %", "measured on", "endpoints")


def _row(card: "Card") -> list[str]:
    best = card.results[0] if card.results else None
    return [
        card.name,
        str(card.paper.year),
        f"{card.num_params:,}",
        f"{card.num_macs:,}",
        f"{best.top1:g}" if best else "",
        f"{best.top5:g}" if best and best.top5 else "",
        f"{best.dataset}, {best.protocol} ({best.source})" if best else "",
        " ".join(card.endpoints),
    ]


def markdown_table(cards: "Sequence[Card]") -> str:
    """The README's table of models: one row for each card, accuracy as published."""
    lines = [_HEADER, ["---", "---", "---:", "---:", "---:", "---:", "---", "---"], *(_row(card) for card in cards)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser("info", help="show a model: card, endpoints, layers")
    parser.add_argument("model", help="registered name")
    parser.add_argument("--image-size", type=_size, metavar="H[xW]", help="input size in pixels (default: the card's)")
    parser.add_argument(
        "--layers", action=argparse.BooleanOptionalAction, default=True, help="print the table of layers (default: yes)"
    )
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> None:
    import zoo
    from zoo.graph import layer_table

    card = zoo.model_card(arguments.model)
    shape = (*arguments.image_size, card.input_shape[-1]) if arguments.image_size else card.input_shape
    model = zoo.create_model(card.name, input_shape=shape)
    rows = layer_table(model)
    facts = [
        ("family", f"{card.family} ({card.modality})"),
        ("paper", f"{card.paper.title} ({card.paper.year}), {card.paper.url}"),
        ("input", f"{_shape(shape)}, values {card.value_range[0]:g} to {card.value_range[1]:g}, "
                  f"smallest size {card.min_size}"),
        ("parameters", f"{zoo.count_params(model)[0]:,} trainable, {zoo.count_params(model)[1]:,} other"),
        ("multiply-accumulates", f"{sum(row.macs for row in rows):,} in {len(rows):,} layers"),
        *(
            (f"published on {result.dataset}", f"top-1 {result.top1:g} %"
             + (f", top-5 {result.top5:g} %" if result.top5 else "") + f"; {result.protocol} ({result.source})")
            for result in card.results
        ),
        ("weights", ", ".join(card.weights) or "none published here"),
    ]  # fmt: skip
    if card.note:
        facts.append(("note", card.note))
    _print(_table(None, facts, title=f"{card.name}: {card.summary}"))
    shapes = {row.name: row.output_shape[1:] for row in rows}
    endpoints = [(name, _shape(shapes[name]), *_field(model, name)) for name in zoo.endpoints(model)]
    _print(_table(("endpoint", "shape", "receptive field", "stride"), endpoints, right=(1, 2, 3)))
    if arguments.layers:
        lines = [(row.name, row.kind, _shape(row.output_shape[1:]), f"{row.params:,}", f"{row.macs:,}") for row in rows]
        header = ("layer", "kind", "output", "parameters", "multiply-accumulates")
        _print(_table(header, lines, right=(2, 3, 4)))


def _field(model: Any, name: str) -> tuple[str, str]:
    """Size and stride of an endpoint's receptive field."""
    import zoo

    try:
        field = zoo.receptive_field(model, name)
    except ValueError:  # behind pooling into bins, which differ in size
        return "not uniform", "not uniform"
    return _shape(field.size), _shape(field.stride)


def _shape(sizes: Sequence[int] | None) -> str:
    return "whole input" if sizes is None else "×".join(map(str, sizes))


def _add_recipes(commands: Any) -> None:
    parser = commands.add_parser("recipes", help="list the recipes for training, or show one")
    parser.add_argument("name", nargs="?", metavar="NAME|FILE", help="recipe to show in full (default: list all)")
    parser.add_argument("--json", action="store_true", help="print JSON, which --recipe reads as a file")
    parser.set_defaults(run=_recipes)


def _recipes(arguments: argparse.Namespace) -> None:
    from zoo import training

    if arguments.name is None:
        recipes = [training.recipe(name) for name in training.list_recipes()]
        if arguments.json:
            print(json.dumps([recipe.to_dict() for recipe in recipes], indent=2))
            return
        rows = [
            (recipe.name, recipe.summary, f"{recipe.source.title} ({recipe.source.year}), {recipe.source.url}",
             str(recipe.published or ""), "compared" if recipe.source.checked else "recalled")
            for recipe in recipes
        ]  # fmt: skip
        _print(_table(("recipe", "what", "source", "published", "numbers"), rows, title=f"{len(rows)} recipes"))
        return
    recipe = training.resolve_recipe(arguments.name, arguments.name)
    if arguments.json:
        print(json.dumps(recipe.to_dict(), indent=2))
        return
    _print(_table(None, list(_recipe_facts(recipe)), title=f"{recipe.name}: {recipe.summary}"))


def _recipe_facts(recipe: "Recipe") -> Iterator[tuple[str, str]]:
    """What a recipe says, hyper-parameters that have their default left out."""
    import dataclasses

    from zoo.training.recipe_book import EVERYWHERE

    source = recipe.source
    yield "source", f"{source.title} ({source.year}), {source.place}, {source.url}"
    yield "numbers compared with", ", ".join(source.checked) or "nothing: recalled from the source"
    if recipe.published:
        yield "published", str(recipe.published)
    if recipe.models:
        yield "models", ", ".join(recipe.models)
    hyper = recipe.hyperparameters
    always = ("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "augment")
    for item in dataclasses.fields(hyper):
        value = getattr(hyper, item.name)
        default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        if item.name in always or value != default:
            yield item.name, json.dumps(value)
    for text in (*recipe.differences, *EVERYWHERE):
        yield "differs", text


def _add_train(commands: Any) -> None:
    parser = commands.add_parser("train", help="train a model, evaluate it, write a run folder with a report")
    add, none = parser.add_argument, argparse.SUPPRESS
    add("model", help="registered name")
    add("--recipe", metavar="NAME|FILE",
        help='recipe of `zoo recipes`, a .json or .toml file, or "paper" for that of the model\'s paper; its numbers '
             "stand in place of the defaults below (default: none)")  # fmt: skip
    add("--data", default=none, help=f"{DATA_FORMS} (default: digits)")
    add("--out", required=True, metavar="DIR",
        help="run folder; an unfinished run of the same settings goes on where it was")  # fmt: skip
    add("--devices", type=parse_devices, default="auto", metavar="N|LIST",
        help='number of devices, or names such as "GPU:0,GPU:2" (default: all GPUs, else the processor)')  # fmt: skip
    add(
        "--recompute",
        action="store_true",
        help="compute feature maps again in the backward pass: less memory, about a third more time, the same numbers",
    )
    add("--save-steps", type=int, metavar="N", help="write a checkpoint every N batches (default: by time alone)")
    add("--save-minutes", type=float, default=10.0, metavar="M",
        help="write a checkpoint every M minutes, besides the end of each epoch (default: 10)")  # fmt: skip
    add("--overwrite", action="store_true", help="delete the run that the folder holds (default: refuse)")
    add("--seed", type=int, default=none, help="seed of weights, order, augmentation and dropout (default: 0)")
    add("--split-seed", type=int, default=none, help="seed of the split of the data (default: 0)")
    add("--epochs", type=int, default=none, help="largest number of epochs (default: 150)")
    add("--batch-size", type=int, default=none, help="examples of a batch (default: 32)")
    add("--optimizer", choices=OPTIMIZERS, default=none, metavar="NAME",
        help=f"{', '.join(OPTIMIZERS)}; sgd has momentum 0.9 (default: adamw)")  # fmt: skip
    add("--learning-rate", type=float, default=none, help="learning rate at the start (default: 0.003)")
    add("--weight-decay", type=float, default=none, help="decoupled weight decay (default: 0.05)")
    add("--schedule", choices=SCHEDULES, default=none, metavar="NAME",
        help=f"course of the learning rate: {', '.join(SCHEDULES)}; all but constant leave out --plateau "
             "(default: constant)")  # fmt: skip
    add("--average", type=float, default=none, metavar="MOMENTUM",
        help="keep a moving average of the weights, such as 0.999; 0: none (default: 0.0)")  # fmt: skip
    add("--clip-norm", type=float, default=none, metavar="NORM", help="clip the gradient's norm (default: no clipping)")
    add("--accumulate", type=int, default=none, metavar="N", help="average N batches for one update (default: 1)")
    add("--on-nonfinite", choices=("stop", "skip", "lower"), default=none,
        help="after a training loss that is NaN or infinite, go back to the last checkpoint and stop, skip the batch, "
             "or halve the learning rate (default: stop)")  # fmt: skip
    add("--plateau", type=int, default=none, metavar="EPOCHS",
        help="multiply the learning rate by 0.3 after so many epochs without a lower validation loss; 0: never "
             "(default: 6)")  # fmt: skip
    add("--patience", type=int, default=none, metavar="EPOCHS",
        help="stop after so many epochs without a lower validation loss (default: 20)")  # fmt: skip
    add("--target", type=float, default=none, help="stop at this validation accuracy, 0 to 1 (default: none)")
    add("--max-minutes", type=float, default=none, help="stop after so many minutes (default: no limit)")
    add("--augment", default=none, metavar="LIST",
        help='augmentation, such as "crop+flip+trivialaugment"; "" for none (default: shift=1)')  # fmt: skip
    add("--image-size", type=_size, default=none, metavar="H[xW]",
        help="resize pictures to this many pixels (default: the data's size, where the model takes it)")  # fmt: skip
    add("--weights", default=none, metavar="TAG|PATH",
        help="weights to begin with: a tag of `zoo weights list` or a folder of weights (default: random)")  # fmt: skip
    add("--on-bad", choices=("raise", "skip", "count"), default=none,
        help="what a broken file of a folder does (default: raise)")  # fmt: skip
    add(
        "--decoder",
        choices=("exact", "scaled"),
        default=none,
        help="scaled: shrink photographs much larger than --image-size while they are decoded (default: exact)",
    )
    add("--set", dest="values", type=knob, action="append", default=[], metavar="NAME=VALUE",
        help="any hyper-parameter, such as lr=0.05 or mixup=0.2, or argument of the model's family, such as "
             "drop_path=0.1; may be repeated (default: none)")  # fmt: skip
    parser.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> None:
    import dataclasses

    from zoo import runs, training
    from zoo.training.hyperparameters import ALIASES

    names = {field.name for field in dataclasses.fields(runs.Settings)} - {"knobs", "recipe"}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    numbers = {*names, *ALIASES} - {"model", "data"}
    given |= {ALIASES.get(name, name): value for name, value in arguments.values if name in numbers}
    if knobs := {name: value for name, value in arguments.values if name not in numbers}:
        given["knobs"] = knobs
    settings = runs.Settings(**given) if arguments.recipe is None else runs.Settings.from_recipe(
        arguments.recipe, **given)  # fmt: skip
    with training.ProgressBar(settings.batch_size) as progress:
        run = runs.train(
            settings,
            arguments.out,
            overwrite=arguments.overwrite,
            command=["zoo", *sys.argv[1:]],
            callbacks=[progress],
            devices=arguments.devices,
            save_steps=arguments.save_steps,
            save_minutes=arguments.save_minutes,
            recompute=arguments.recompute,
        )
    if run is None:  # a worker of several; the first one writes
        return
    result = run.result()
    test = result["evaluation"]
    print(f"stopped after {result['epochs']} epochs, {result['seconds']:.0f} s: {result['stopped']['explanation']}")
    print(_scores(test))
    print(run.folder / "report.html")


def _add_launch(commands: Any) -> None:
    parser = commands.add_parser("launch", help="run a command in several processes that train together")
    parser.add_argument("--workers", type=int, required=True, metavar="N", help="number of processes on this machine")
    parser.add_argument("--restarts", type=int, default=3, metavar="N",
        help="start all again so often after one has died (default: 3)")  # fmt: skip
    parser.add_argument("line", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="such as -- zoo train …")
    parser.set_defaults(run=_launch)


def _launch(arguments: argparse.Namespace) -> int:
    from zoo import launcher

    line = arguments.line[1:] if arguments.line[:1] == ["--"] else arguments.line
    return launcher.launch(line, workers=arguments.workers, restarts=arguments.restarts)


def _scores(scores: dict[str, Any]) -> str:
    wrong = round(scores["examples"] * (1 - scores["accuracy"]))
    return (
        f"{scores['data']} {scores['split']}: accuracy {100 * scores['accuracy']:.2f} % "
        f"({wrong} of {scores['examples']} wrong), loss {scores['loss']:.4f}"
    )


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="measure a run's best weights, or published ones")
    parser.add_argument("folder", metavar="RUN|MODEL:TAG",
        help="run folder; or name and tag of published weights, such as resnet50:torchvision.v2")  # fmt: skip
    parser.add_argument("--data", help="other data with the same classes (default: the run's own); for published "
        "weights folder:PATH, a folder for each of ImageNet's classes, or for some")  # fmt: skip
    parser.add_argument("--split", choices=("train", "validation", "test"),
        help="which part of the run's data (default: test)")  # fmt: skip
    parser.add_argument("--batch-size", type=int, metavar="N",
        help="pictures at once, for published weights (default: 32)")  # fmt: skip
    _add_engine(parser, None, "what trained it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_evaluate)


def _add_engine(parser: argparse.ArgumentParser, engine: str | None, default: str) -> None:
    parser.add_argument("--engine", choices=ENGINES, default=engine, metavar="NAME",
        help=f"what runs the network: {', '.join(ENGINES)}; auto measures those that are installed and answer as Keras "
             f"does, which takes some seconds (default: {default})")  # fmt: skip
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", metavar="NAME",
        help="arithmetic of the engine: float32 or bfloat16 (default: float32)")  # fmt: skip


def _evaluate(arguments: argparse.Namespace) -> None:
    import zoo

    if arguments.folder.partition(":")[0] in zoo.list_models() and not os.path.exists(arguments.folder):
        from zoo.weights import commands

        commands.evaluate(arguments)
        return
    if arguments.batch_size is not None:
        raise ValueError("--batch-size is for published weights; a run has its own. Leave it out.")
    from zoo import runs
    from zoo.deploy.commands import predictor

    run = runs.open_run(arguments.folder)
    answer = predictor(arguments, run.model, run.config["training"]["batch_size"])
    scores = run.evaluate(arguments.split or "test", arguments.data, answer=answer)
    print(json.dumps(scores) if arguments.json else _scores(scores))


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser("predict", help="name what files show or say")
    parser.add_argument("folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="files of what the run was trained on: pictures, sound, text or signals",
    )
    parser.add_argument("--top", type=int, default=5, help="number of classes for each file (default: 5)")
    _add_engine(parser, "tensorflow", "tensorflow")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> None:
    from zoo import runs
    from zoo.deploy.commands import predictor

    run = runs.open_run(arguments.folder)
    # A power of two, so that `auto` knows the size of most calls from an earlier one.
    size = min(1 << (len(arguments.files) - 1).bit_length(), run.config["training"]["batch_size"])
    answers = run.predict(arguments.files, top=arguments.top, answer=predictor(arguments, run.model, size))
    if arguments.json:
        print(json.dumps(dict(zip(arguments.files, answers, strict=True))))
        return
    for file, answer in zip(arguments.files, answers, strict=True):
        print(file)
        for name, probability in answer:
            print(f"  {100 * probability:6.2f} %  {name}")


def _add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="write a network for another runtime, and prove it there")
    parser.add_argument("source", metavar="RUN|MODEL[:TAG]", help="run folder; or published weights, such as resnet50")
    parser.add_argument("--to", choices=FORMATS, required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; it appears when all is proven")
    parser.add_argument("--preprocessing", choices=("inside", "outside"), default="outside", metavar="WHERE",
        help="inside: the file takes pixels, 0 to 255; outside: what the network takes (default: outside)")  # fmt: skip
    parser.add_argument("--int8", action="store_true", help="weights and activations of 8 bits: smaller and faster")
    parser.add_argument("--calibrate", metavar="DATA",
        help="what the ranges for --int8 are found by (default: the run's own training data)")  # fmt: skip
    parser.add_argument("--calibration-examples", type=int, default=256, metavar="N",
        help="the most examples of that (default: 256)")  # fmt: skip
    parser.add_argument("--max-loss", type=float, default=2.0, metavar="PERCENT",
        help="give up where --int8 costs more accuracy, or without labels more change class (default: 2)")  # fmt: skip
    parser.add_argument("--data", metavar="DATA",
        help="what to compare with Keras on (default: the run's own test data, or parts of photographs)")  # fmt: skip
    parser.add_argument("--examples", type=int, default=64, metavar="N", help="the most examples of that (default: 64)")
    parser.add_argument("--json", action="store_true", help="print the manifest")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> None:
    from zoo.deploy import commands

    commands.export_network(arguments)


def _add_report(commands: Any) -> None:
    parser = commands.add_parser("report", help="write a run's report again")
    parser.add_argument("folder", metavar="RUN", help="run folder")
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    from zoo import runs

    print(runs.open_run(arguments.folder).report())


def _add_check_data(commands: Any) -> None:
    parser = commands.add_parser("check-data", help="look a data set through: counts, duplicates, leaks, bad files")
    parser.add_argument("data", metavar="DATA", help=DATA_FORMS)
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the split of the data (default: 0)")
    parser.add_argument("--on-bad", choices=("raise", "skip", "count"), default="count",
        help="what a broken file of a folder does (default: count)")  # fmt: skip
    parser.add_argument("--group-by", metavar="REGEX",
        help='what names correlated files of a folder, such as "(person[0-9]+)" (default: none are)')  # fmt: skip
    parser.set_defaults(run=_check_data)


def _check_data(arguments: argparse.Namespace) -> None:
    from zoo import data

    dataset = data.load(arguments.data, split_seed=arguments.split_seed, on_bad=arguments.on_bad)
    report = data.check(dataset, group_by=arguments.group_by)
    rows = [(label, *map(str, numbers)) for label, numbers in report.num_examples.items()]
    _print(_table(("class", *dataset.splits), rows, right=(1, 2, 3), title=dataset.source))
    (low_height, high_height), (low_width, high_width) = report.sizes
    print(f"height {low_height} to {high_height}, width {low_width} to {high_width} pixels; "
          f"fingerprint {dataset.fingerprint[:16]}")  # fmt: skip
    for note in report.notes:
        print(f"note: {note}")
    for problem in report.problems:
        print(f"problem: {problem}")
    if report.problems:
        raise data.DataError(f"{arguments.data}: problems found: {len(report.problems)}; see above")
    print("no problem found")


def _add_benchmark(commands: Any) -> None:
    parser = commands.add_parser("benchmark", help="measure how fast networks are, beside those of other libraries")
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="registered name, or run folder")
    add("--engine", type=_names, metavar="LIST",
        help="tensorflow, openvino, onnxruntime, litert, with commas between (default: all installed)")  # fmt: skip
    add("--precision", type=_names, default=["float32"], metavar="LIST",
        help="float32, bfloat16, int8; several with commas between (default: float32)")  # fmt: skip
    add("--batch", type=_counts, default=[1, 16], metavar="LIST", help="examples at once (default: 1,16)")
    add("--threads", type=int, metavar="N", help="processors that each form may use (default: all)")
    add("--peer", action="append", default=[], metavar="NAME",
        help="keras.applications, torchvision or timm: the same network there; openvino or onnxruntime: ours as Keras "
             "exports it; may be repeated (default: none)")  # fmt: skip
    add("--repeats", type=int, default=7, metavar="N", help="rounds, in which all take turns (default: 7)")
    add("--seconds", type=float, default=0.3, metavar="S",
        help="seconds for which a form is called in each round, at least (default: 0.3)")  # fmt: skip
    add("--out", metavar="DIR", help="write benchmark.md, benchmark.json and a picture for each network (default: no)")
    add("--json", action="store_true", help="print JSON in place of the table")
    parser.set_defaults(run=_benchmark)


def _benchmark(arguments: argparse.Namespace) -> None:
    from zoo.deploy.benchmark import commands

    commands.benchmark(arguments)


def _add_shard(commands: Any) -> None:
    parser = commands.add_parser("shard", help="write a data set into a few large files, for --data shards:DIR")
    parser.add_argument("--data", required=True, help="digits, tfds:NAME or folder:PATH")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; it appears when all is written")
    parser.add_argument("--shard-mb", type=int, default=128, metavar="MB",
        help="close a file when it has so many megabytes (default: 128)")  # fmt: skip
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the split of the data (default: 0)")
    parser.add_argument("--on-bad", choices=("raise", "skip", "count"), default="raise",
        help="what a broken file of a folder does (default: raise)")  # fmt: skip
    parser.add_argument("--group-by", metavar="REGEX",
        help='what names correlated files of a folder, such as "(person[0-9]+)", which come into one split; the '
             "shards keep it (default: none are)")  # fmt: skip
    parser.set_defaults(run=_shard)


def _shard(arguments: argparse.Namespace) -> None:
    import rich.console
    import rich.progress

    from zoo import data

    if arguments.shard_mb < 1:
        raise ValueError(f"--shard-mb must be at least 1. Received: --shard-mb {arguments.shard_mb}")
    dataset = data.load(
        arguments.data, split_seed=arguments.split_seed, on_bad=arguments.on_bad, group_by=arguments.group_by
    )
    total = sum(dataset.num_examples.values())
    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("writing", total=total)
        data.write_shards(
            dataset,
            arguments.out,
            shard_bytes=arguments.shard_mb << 20,
            progress=lambda count: bar.update(task, completed=count),
        )
    written = data.load(f"shards:{arguments.out}")
    counts = ", ".join(f"{split} {count}" for split, count in written.num_examples.items())
    print(f"{arguments.out}: {counts}; fingerprint {written.fingerprint[:16]}")
    if dataset.bad_files:
        print(f"left out: {len(dataset.bad_files)} bad files")


def _add_weights(commands: Any) -> None:
    parser = commands.add_parser("weights", help="published weights: list, download, verify, convert")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    action = actions.add_parser("list", help="list published weights")
    action.add_argument("model", nargs="?", help="registered name (default: all)")
    form = action.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print the table of docs/weights.md")
    action.set_defaults(run=_weights, function="show")
    action = actions.add_parser("download", help="fetch weights into the cache, ZOO_HOME or ~/.cache/cnn-zoo")
    action.add_argument("weights", metavar="MODEL[:TAG]", help="registered name, and tag (default: the default one)")
    action.set_defaults(run=_weights, function="fetch")
    action = actions.add_parser("verify", help="prove that stored or downloaded weights are whole")
    action.add_argument("file", metavar="FILE", help="folder or file that the zoo wrote, or file as published")
    action.set_defaults(run=_weights, function="verify")
    action = actions.add_parser("convert", help="turn a file of another library into weights of ours")
    action.add_argument("model", help="registered name")
    action.add_argument(
        "file", metavar="FILE", help=".safetensors, .npz, .h5, or a state dict of PyTorch, which PyTorch reads"
    )
    action.add_argument(
        "--source", required=True, metavar="NAME", help="whose names the file has: torchvision, timm, keras"
    )
    action.add_argument("--out", required=True, metavar="DIR", help="folder to write, which weights= then takes")
    action.add_argument("--set", dest="knobs", type=knob, action="append", default=[], metavar="KNOB=VALUE",
        help="argument of the model's family that the weights need; may be repeated (default: none)")  # fmt: skip
    action.set_defaults(run=_weights, function="convert")


def _weights(arguments: argparse.Namespace) -> None:
    from zoo.weights import commands

    getattr(commands, arguments.function)(arguments)


def parse_devices(text: str) -> str | int | list[str]:
    """`auto`, `2`, or `GPU:0,GPU:1`."""
    if text == "auto" or text.isdecimal():
        return text if text == "auto" else int(text)
    return [name.strip() for name in text.split(",")]


def _names(text: str) -> list[str]:
    """`tensorflow,openvino`."""
    return [name.strip() for name in text.split(",")]


def _counts(text: str) -> list[int]:
    """`1,16`: whole numbers above 0."""
    parts = _names(text)
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected whole numbers above 0 such as 1,16, received {text!r}")
    return [int(part) for part in parts]


def _size(text: str) -> tuple[int, int]:
    """`32` or `32x48`: height and width."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected a size such as 32 or 32x48, received {text!r}")
    return int(parts[0]), int(parts[-1])


def knob(text: str) -> tuple[str, Any]:
    """`drop_path=0.1`: a name and a Python literal, or else a string."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"expected KNOB=VALUE, received {text!r}")
    return key, literal(value)


def _table(
    header: Sequence[str] | None, rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), title: str = ""
) -> "rich.table.Table":
    import rich.box
    import rich.table

    table = rich.table.Table(
        box=rich.box.SIMPLE_HEAD, show_header=header is not None, title=title, title_justify="left"
    )
    for index in range(len(rows[0]) if rows else len(header or ())):
        text = header[index] if header else ""
        table.add_column(text, justify="right" if index in right else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(_escaped, row))
    return table


def _escaped(text: str) -> str:
    import rich.markup

    return rich.markup.escape(text)


def _print(table: "rich.table.Table") -> None:
    """On a terminal as wide as that is, else as wide as needed, so that a pipe loses nothing."""
    import rich.console

    console = rich.console.Console()
    if not console.is_terminal:
        console = rich.console.Console(width=10_000)
    console.print(table)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send what C libraries write to the standard error output nowhere, such as TensorFlow's notes on missing GPUs."""
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _start_tensorflow() -> None:
    """Import TensorFlow and look for devices, which is when it writes its notes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.list_physical_devices()

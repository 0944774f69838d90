"""What `zoo weights list`, `download`, `verify` and `convert` do, and `zoo evaluate` with published weights.

Their options are in `zoo.cli`.
"""

import argparse
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import zoo
from zoo.builder import build_for_conversion
from zoo.files import sha256
from zoo.weights import cache, evaluation, published, store

_MARKDOWN = ("weights", "source", "licence", "top-1 %", "top-5 %", "measured on", "parity on random weights",
             "accuracy measured here")  # fmt: skip
_HEADER = ("weights", "top-1 %", "top-5 %", "licence", "size", "reader", "cached")


def show(arguments: argparse.Namespace) -> None:
    """`zoo weights list [MODEL]`."""
    if arguments.model is not None:
        zoo.model_card(arguments.model)
    rows = [row for row in published.published() if arguments.model in (None, row.model)]
    if arguments.json:
        print(json.dumps([{**cache.facts(row), "cached": cache.is_cached(row)} for row in rows], indent=2))
        return
    if arguments.markdown:
        print(markdown_table(rows))
        return
    lines = [
        (
            f"{row.model}:{row.tag}" + (" (default)" if row == _default(row.model) else ""),
            f"{row.top1:.2f}",
            f"{row.top5:.2f}",
            row.licence or "not stated",
            f"{4 * row.num_params / 1e6:.0f} MB",
            "PyTorch, once" if row.kind == "pth" else "",
            "yes" if cache.is_cached(row) else "",
        )
        for row in rows
    ]
    print(_aligned([_HEADER, *lines]) if lines else f"{arguments.model} has no published weights.")


def markdown_table(rows: Sequence[published.Published]) -> str:
    """The table of docs/weights.md: a row for each of the published weights."""
    lines = [
        _MARKDOWN,
        ("---", "---", "---", "---:", "---:", "---", "---", "---"),
        *(
            (
                f"`{row.model}:{row.tag}`" + (" (default)" if row == _default(row.model) else ""),
                f"[{row.source}]({row.url})",
                row.licence or "not stated",
                f"{row.top1:.2f}",
                f"{row.top5:.2f}",
                _protocol(row),
                f"yes, `{row.model}-{row.source}`",
                "no",
            )
            for row in rows
        ),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fetch(arguments: argparse.Namespace) -> None:
    """`zoo weights download MODEL[:TAG]`."""
    row = _find(arguments.weights)
    stored = _fetched(row)
    print(f"{row.model}:{row.tag}, licence {row.licence or 'not stated'}")
    print(stored.path.parent)


def _find(text: str) -> published.Published:
    """The record that `MODEL[:TAG]` names."""
    model, _, tag = text.partition(":")
    zoo.model_card(model)
    return published.find(model, tag or None)


def _fetched(row: published.Published) -> store.Stored:
    with _bar(f"{row.model}:{row.tag}", is_download=True) as progress:
        try:
            return cache.fetch(row, build_for_conversion, progress)
        except ImportError as error:
            raise ValueError(str(error)) from None


@contextlib.contextmanager
def _bar(text: str, *, is_download: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on the standard error output, if that is a terminal; gives what moves it."""
    import rich.console
    import rich.progress

    console = rich.console.Console(stderr=True)
    count = rich.progress.DownloadColumn() if is_download else rich.progress.MofNCompleteColumn()
    columns = (rich.progress.TextColumn("{task.description}"), rich.progress.BarColumn(), count,
               rich.progress.TimeRemainingColumn())  # fmt: skip
    with rich.progress.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


def evaluate(arguments: argparse.Namespace) -> None:
    """`zoo evaluate MODEL:TAG --data folder:PATH`."""
    from zoo.deploy.commands import check_engine, predictor

    check_engine(arguments)
    kind, _, path = (arguments.data or "").partition(":")
    if kind != "folder" or not path:
        raise ValueError(
            "Published weights are measured on a folder with a folder for each of ImageNet's classes: "
            f"--data folder:PATH. Received: --data {arguments.data or 'nothing'}"
        )
    if arguments.split is not None:
        raise ValueError("--split is for runs; a folder of ImageNet's classes is measured as a whole. Leave it out.")
    if arguments.batch_size is not None and arguments.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1. Received: --batch-size {arguments.batch_size}")
    row = _find(arguments.folder)
    label = f"{row.model}:{row.tag}"
    evaluation.labelled_files(path)  # a wrong path costs no download
    _fetched(row)
    preprocessing = zoo.weights.Preprocessing.from_record(row)
    shape = (*(preprocessing.size or ()), preprocessing.channels)
    model = zoo.create_model(row.model, weights=row.tag, input_shape=shape, classifier_activation=None)
    batch_size = evaluation.AT_ONCE if arguments.batch_size is None else arguments.batch_size
    answer = predictor(arguments, model, batch_size)
    with _bar("pictures", is_download=False) as progress:
        found = evaluation.evaluate(model, preprocessing, path, batch_size=batch_size, progress=progress, answer=answer)
    if arguments.json:
        print(json.dumps({
            "weights": label, "data": arguments.data, "pictures": found.pictures, "classes": found.classes,
            "top1": found.top1, "top5": found.top5, "published_top1": row.top1, "published_top5": row.top5,
        }))  # fmt: skip
        return
    here = f"{found.pictures} pictures of {found.classes} of the 1000 classes"
    there = f"ImageNet-1k's 50000 validation pictures, {_protocol(row)}"
    header = ("", "top-1 %", "top-5 %", "")
    measured = (label, f"{found.top1:.2f}", f"{found.top5:.2f}", here)
    print(_aligned([header, measured, ("published", f"{row.top1:.2f}", f"{row.top5:.2f}", there)]))
    if not found.is_imagenet:
        print("These are not all 50000 pictures of all 1000 classes: the two lines say nothing about each other.")


def _protocol(row: published.Published) -> str:
    crop = f"centre crop of {row.eval_size}"
    if row.crop_mode != "center":
        crop = f"{row.eval_size}, {row.crop_mode}"
    return f"{crop} from {row.resize_size}, {row.interpolation}"


def verify(arguments: argparse.Namespace) -> None:
    """`zoo weights verify FILE`."""
    path = Path(arguments.file)
    if not path.exists():
        raise FileNotFoundError(f"There is nothing at {path}.")
    try:
        stored = store.open_weights(path)
    except FileNotFoundError:
        _verify_published(path)
        return
    store.examine(stored)
    name = stored.manifest.get("weights", stored.manifest["model"])
    print(f"{stored.path}: whole; {stored.manifest['num_tensors']} tensors of {name}, "
          f"SHA-256 {stored.manifest['sha256']}")  # fmt: skip


def _verify_published(path: Path) -> None:
    """A file as its publisher gives it: the name says which, and how its hash begins."""
    if path.is_dir():
        raise ValueError(f"{path} holds no weights: there is no {store.MANIFEST} in it.")
    digest = sha256(path)
    rows = [
        row
        for row in published.published()
        if row.sha256_prefix and path.name in (row.url.rpartition("/")[2], cache.download_of(row).name)
    ]
    prefix = rows[0].sha256_prefix if rows else _prefix(path.stem)
    if not prefix:
        raise ValueError(f"Nothing says what {path} should be: there is no {store.MANIFEST} beside it, and no hash is "
                         f"published for its name. Its SHA-256 is {digest}.")  # fmt: skip
    if not digest.startswith(prefix):
        raise ValueError(f"{path} is damaged, or another file: its SHA-256 is {digest}, expected {prefix}.")
    print(f"{path}: its SHA-256 begins with {prefix}, as its publisher says; {digest}")


def _prefix(stem: str) -> str:
    """The first digits of the SHA-256 at the end of a name, as PyTorch's hub has it: `resnet18-f37072fd`."""
    match = re.search(r"-([0-9a-f]{8,64})$", stem)
    return match[1] if match else ""


def convert(arguments: argparse.Namespace) -> None:
    """`zoo weights convert MODEL FILE --source S --out DIR`."""
    file, out = Path(arguments.file), Path(arguments.out)
    zoo.model_card(arguments.model)
    if not file.is_file():
        raise FileNotFoundError(f"There is no weights file at {file}.")
    if (out / store.MANIFEST).exists():
        raise ValueError(f"{out} holds weights already. Give another folder, or delete it.")
    stored = cache.convert(
        arguments.model,
        file,
        arguments.source,
        out,
        build_for_conversion,
        dict(arguments.knobs),
        source=arguments.source,
        origin={"file": file.name, "sha256": sha256(file), "size": file.stat().st_size},
    )
    print(f"{stored.manifest['num_tensors']} tensors of {arguments.model}")
    print(stored.path.parent)


def _default(model: str) -> published.Published | None:
    try:
        return published.find(model)
    except ValueError:
        return None


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as needed, so that a pipe loses nothing."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)

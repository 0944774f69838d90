"""The subcommand `zoo speech`."""

import argparse
import os
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add `speech` to the command line."""
    parser = commands.add_parser("speech", help="make spoken words, measure networks in noise, listen to recordings")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    action = actions.add_parser("make", help="synthesise ten words by espeak-ng, and by flite as other speakers")
    action.add_argument("folder", type=Path, metavar="DIR", help="folder to write: words/ and other/")
    action.add_argument("--voices", type=int, metavar="N", help="number of espeak-ng's voices (default: all)")
    action.add_argument("--seed", type=int, default=0, help="seed of split, speed and pitch (default: 0)")
    action.set_defaults(run=_make)
    action = actions.add_parser("score", help="accuracy of a run in noise and on other speakers, and of a baseline")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder of `zoo train MODEL --data wav:DIR/words`")
    action.add_argument("--other", type=Path, metavar="DIR", help="class folders of other speakers (default: none)")
    action.add_argument("--noise", type=float, nargs="*", default=[10.0], metavar="DB",
        help="ratios of clip and white noise, in decibels (default: 10)")  # fmt: skip
    action.set_defaults(run=_score)
    action = actions.add_parser("listen", help="report the words of a long recording as they come")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder")
    action.add_argument("file", metavar="FILE|-",
        help="sound file, or - for 16-bit mono samples at 16 kHz from standard input")  # fmt: skip
    action.add_argument("--step", type=float, default=0.1, metavar="S", help="seconds between windows (default: 0.1)")
    action.add_argument("--smooth", type=int, default=3, metavar="N", help="windows that are averaged (default: 3)")
    action.add_argument("--threshold", type=float, default=0.9, help="probability that counts, 0 to 1 (default: 0.9)")
    action.set_defaults(run=_listen)


def _make(arguments: argparse.Namespace) -> None:
    from applications.speech import synthesis

    counts = synthesis.synthesise(arguments.folder / "words", seed=arguments.seed, limit=arguments.voices)
    print("espeak-ng: " + ", ".join(f"{split} {count}" for split, count in counts.items()))
    print(f"flite: {synthesis.synthesise_other(arguments.folder / 'other')}")


def _score(arguments: argparse.Namespace) -> None:
    from applications.speech import scoring
    from zoo import data, runs

    run = runs.open_run(arguments.folder)
    facts = run.config["data"]
    dataset = data.load(facts["name"], split_seed=facts["split_seed"], on_bad=facts["on_bad"])
    clean = scoring.clips(dataset, "test")
    tested = {"test": clean}
    for seed, decibels in enumerate(arguments.noise):
        tested[f"{decibels:g} dB"] = clean.in_noise(decibels, seed)
    if arguments.other is not None:
        tested["other speakers"] = scoring.everything(arguments.other, dataset.classes)
    methods = {
        run.config["model"]["name"]: scoring.network(run),
        "support vectors": scoring.support_vectors(scoring.clips(dataset, "train")),
    }
    for name, found in scoring.table(methods, tested).items():
        print(f"{name}: " + ", ".join(f"{what} {accuracy:.3f}" for what, accuracy in found.items()))


def _listen(arguments: argparse.Namespace) -> None:
    import sys

    import numpy as np

    from applications.speech.listening import Listener
    from zoo import runs
    from zoo.data.audio import ClipReader, read_sound

    run = runs.open_run(arguments.folder)
    form = run.config["data"].get("form", {})
    if form.get("kind") != "sound":
        raise ValueError(f"{arguments.folder} was not trained on sound.")
    reader = ClipReader.from_form(form)
    listener = Listener(
        run.model,
        reader,
        tuple(run.config["data"]["classes"]),
        step=arguments.step,
        smooth=arguments.smooth,
        threshold=arguments.threshold,
    )

    def chunks() -> Any:
        if arguments.file != "-":
            yield read_sound(arguments.file, rate=reader.front_end.sample_rate)
            return
        rest = b""
        # What has come so far, at most a tenth of a second: a pipe gives the sound as it is recorded.
        while content := os.read(sys.stdin.fileno(), 3200):
            content = rest + content
            whole = len(content) // 2 * 2
            rest = content[whole:]
            yield np.frombuffer(content[:whole], "<i2").astype(np.float32) / 32768

    for chunk in chunks():
        for found in listener.hear(chunk):
            print(f"{found.second:8.2f} s  {found.word}  {100 * found.probability:.0f} %", flush=True)

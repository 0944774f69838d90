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
    action.add_argument("--words", nargs="+", metavar="WORD",
        help="what is spoken (default: yes no up down left right on off stop go)")  # fmt: skip
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
    _add_quiet(action)
    action.set_defaults(run=_listen)
    _add_alarms(actions)


def _add_quiet(action: Any) -> None:
    action.add_argument("--quiet", nargs="*", default=["_silence_", "_unknown_"], metavar="CLASS",
        help="classes that are no words (default: _silence_ _unknown_)")  # fmt: skip


def _add_alarms(actions: Any) -> None:
    action = actions.add_parser(
        "alarms", help="words found and false alarms per hour, on a recording made of the test clips"
    )
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder")
    action.add_argument("--minutes", type=float, default=10.0, metavar="M", help="its length (default: 10)")
    action.add_argument("--noise", type=float, default=20.0, metavar="DB",
        help="ratio of clips and white noise, in decibels (default: 20)")  # fmt: skip
    action.add_argument("--others", type=Path, metavar="DIR",
        help="clips of what is none of the words, half of all that is said (default: none)")  # fmt: skip
    action.add_argument("--thresholds", type=float, nargs="+", default=[0.5, 0.7, 0.9, 0.95], metavar="P",
        help="mean probabilities that count, 0 to 1 (default: 0.5 0.7 0.9 0.95)")  # fmt: skip
    _add_quiet(action)
    action.add_argument("--step", type=float, default=0.1, metavar="S", help="seconds between windows (default: 0.1)")
    action.add_argument("--smooth", type=int, default=3, metavar="N", help="windows that are averaged (default: 3)")
    action.add_argument("--seed", type=int, default=0, help="seed of the recording (default: 0)")
    action.set_defaults(run=_alarms)


def _alarms(arguments: argparse.Namespace) -> None:
    from applications.speech import alarms, scoring
    from zoo import data, runs
    from zoo.data.audio import ClipReader, read_sound

    run = runs.open_run(arguments.folder)
    facts = run.config["data"]
    if facts.get("form", {}).get("kind") != "sound":
        raise ValueError(f"{arguments.folder} was not trained on sound.")
    dataset = data.load(facts["name"], split_seed=facts["split_seed"], on_bad=facts["on_bad"])
    reader = ClipReader.from_form(facts["form"])
    rate = reader.front_end.sample_rate
    clips = scoring.clips(dataset, "test")
    words = [(clip, dataset.classes[label]) for clip, label in zip(clips.sound, clips.labels.tolist(), strict=True)
             if dataset.classes[label] not in arguments.quiet]  # fmt: skip
    others = []
    if arguments.others is not None:
        others = [read_sound(path, rate=rate, longest=60.0) for path in sorted(arguments.others.rglob("*.wav"))]
        if not others:
            raise ValueError(f"{arguments.others} holds no .wav files.")
    recording = alarms.compose(
        words, others, minutes=arguments.minutes, decibels=arguments.noise, rate=rate, seed=arguments.seed
    )
    found = alarms.curve(
        run.model, reader, dataset.classes, recording, arguments.thresholds, quiet=arguments.quiet,
        step=arguments.step, smooth=arguments.smooth,
    )  # fmt: skip
    print("threshold  found  missed  false alarms  per hour")
    for threshold, own in found.items():
        print(f"{threshold:9.2f}  {own.found:5d}  {own.missed:6d}  {own.false_alarms:12d}  "
              f"{own.false_alarms_per_hour:8.1f}")  # fmt: skip


def _make(arguments: argparse.Namespace) -> None:
    from applications.speech import synthesis

    words = arguments.words or synthesis.WORDS
    counts = synthesis.synthesise(arguments.folder / "words", words, seed=arguments.seed, limit=arguments.voices)
    print("espeak-ng: " + ", ".join(f"{split} {count}" for split, count in counts.items()))
    print(f"flite: {synthesis.synthesise_other(arguments.folder / 'other', words)}")


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
        for found in listener.hear(chunk, arguments.quiet):
            print(f"{found.second:8.2f} s  {found.word}  {100 * found.probability:.0f} %", flush=True)

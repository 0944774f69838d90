"""Spoken words from synthesisers of Debian: espeak-ng in its many voices, flite as another kind of speaker.

apt-get install espeak-ng flite
"""

import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

# espeak-ng's English; each voice speaks two of them.
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
NUM_TEST_VOICES, NUM_VALIDATION_VOICES = 29, 10
FLITE_VOICES, FLITE_SPEEDS = ("kal16", "awb", "rms", "slt"), (0.85, 1.0, 1.2)


def voices() -> list[str]:
    """The voices of espeak-ng, such as `f3`, without what changes nothing but effects."""
    _require("espeak-ng")
    text = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    # Columns: priority, language, age and gender, name, file; the file is `!v/f3`.
    return sorted({line.split("!v/")[1].strip() for line in text.splitlines() if "!v/" in line})


def synthesise(
    folder: Path, words: Sequence[str] = WORDS, *, seed: int = 0, limit: int | None = None
) -> dict[str, int]:
    """Write clips by espeak-ng as `folder/{train,validation,test}/WORD/VOICE-ACCENT.wav`, no voice in two splits.

    Args:
        folder: Folder to write; existing clips are kept.
        words: What is spoken.
        seed: Seed of the split, and of the speed and pitch of each clip.
        limit: Number of voices; None for all.

    Returns:
        Number of clips of each split.

    Raises:
        ValueError: espeak-ng is not installed, or there are too few voices.
    """
    rng = np.random.default_rng(seed)
    names = rng.permutation(voices())[:limit].tolist()
    test, validation = (NUM_TEST_VOICES, NUM_VALIDATION_VOICES) if limit is None else (limit // 3, limit // 6)
    if min(test, validation) < 1 or len(names) <= test + validation:
        raise ValueError(f"There are too few voices for three splits. Received: {len(names)}")
    jobs, counts = [], {"train": 0, "validation": 0, "test": 0}
    for index, voice in enumerate(names):
        split = "test" if index < test else "validation" if index < test + validation else "train"
        for accent in rng.choice(ACCENTS, 2, replace=False).tolist():
            for word in words:
                speed, pitch = int(rng.integers(130, 200)), int(rng.integers(30, 71))
                path = folder / split / word / f"{_plain(voice)}-{accent}.wav"
                command = [
                    "espeak-ng",
                    "-v",
                    f"{accent}+{voice}",
                    "-s",
                    str(speed),
                    "-p",
                    str(pitch),
                    "-w",
                    str(path),
                    word,
                ]
                jobs.append((path, command))
                counts[split] += 1
    _run(jobs)
    return counts


def synthesise_other(folder: Path, words: Sequence[str] = WORDS) -> int:
    """Write clips by flite, whose voices were built from recordings of speakers, as `folder/WORD/VOICE-SPEED.wav`.

    Returns:
        Number of clips.

    Raises:
        ValueError: flite is not installed.
    """
    _require("flite")
    jobs = []
    for voice in FLITE_VOICES:
        for speed in FLITE_SPEEDS:
            for word in words:
                path = folder / word / f"{voice}-{speed:g}.wav"
                options = ["-voice", voice, "--setf", f"duration_stretch={1 / speed:.3f}"]
                jobs.append((path, ["flite", *options, "-t", word, "-o", str(path)]))
    _run(jobs)
    return len(jobs)


def _run(jobs: Sequence[tuple[Path, list[str]]]) -> None:
    for path, _ in jobs:
        path.parent.mkdir(parents=True, exist_ok=True)

    def one(job: tuple[Path, list[str]]) -> None:
        path, command = job
        if path.exists():
            return
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not path.exists():
            raise ValueError(f"{' '.join(command)} failed: {done.stderr.strip() or done.returncode}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, jobs))


def _plain(voice: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in voice)


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise ValueError(f"{program} is not installed: apt-get install {program}")

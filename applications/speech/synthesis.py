"""Spoken words from synthesisers of Debian: espeak-ng in its many voices, flite as another kind of speaker.

apt-get install espeak-ng flite
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

# espeak-ng's English; each voice speaks two of them. British English is "en": with "en-gb" espeak-ng 1.51 leaves out
# the voice that is asked for, so that all splits would share one.
ACCENTS = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
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
        folder: Folder to write; existing clips are kept, and must be of a call with the same words, seed and limit.
        words: What is spoken.
        seed: Seed of the split, and of the speed and pitch of each clip.
        limit: Number of voices; None for all.

    Returns:
        Number of clips of each split.

    Raises:
        ValueError: espeak-ng is not installed, there are too few voices, or the folder holds other clips.
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
    if others := sorted(set(folder.rglob("*.wav")).difference(path for path, _ in jobs)):
        raise ValueError(
            f"{folder} must hold clips of the same words, voices and seed alone: no voice may be in two splits. "
            f"Received: {others[0].relative_to(folder)}. Give another folder, or empty this one."
        )
    _run(jobs)
    return counts


def synthesise_shifted(
    folder: Path, formants: float, names: Sequence[str], words: Sequence[str] = WORDS, *, seed: int = 0
) -> int:
    """Write clips of voices whose formants are moved, at their own pitch and speed, as `folder/WORD/VOICE-ACCENT.wav`.

    What is moved is the description of each voice that espeak-ng synthesises from: the resonances of a shorter or a
    longer vocal tract. The accents, speeds and pitches are drawn from `seed` alone, so that folders of other factors
    hold the same clips with other formants.

    Args:
        folder: Folder to write; existing clips are kept.
        formants: Factor of all formants, 0.5 to 2; 1 for the voices as they are.
        names: Voices, of `voices()`.
        words: What is spoken.
        seed: Seed of accent, speed and pitch.

    Returns:
        Number of clips.

    Raises:
        ValueError: espeak-ng is not installed, or the factor is out of its range.
    """
    if not 0.5 <= formants <= 2:
        raise ValueError(f"formants must be from 0.5 to 2. Received: formants={formants}")
    _require("espeak-ng")
    about = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    own = Path(about.partition("Data at: ")[2].strip())
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place, "espeak-ng-data")
        shutil.copytree(own, copy)
        jobs = []
        for voice in names:
            variant = own / "voices" / "!v" / voice
            text = variant.read_text(encoding="utf-8", errors="replace")
            (copy / "voices" / "!v" / voice).write_text(move_formants(text, formants), encoding="utf-8")
            for accent in rng.choice(ACCENTS, 2, replace=False).tolist():
                for word in words:
                    path = folder / word / f"{_plain(voice)}-{accent}.wav"
                    options = ["-s", str(rng.integers(130, 200)), "-p", str(rng.integers(30, 71))]
                    command = ["espeak-ng", f"--path={place}", "-v", f"{accent}+{voice}", *options, "-w", str(path)]
                    jobs.append((path, [*command, word]))
        _run(jobs)
    return len(jobs)


def move_formants(variant: str, factor: float) -> str:
    """The description of a voice of espeak-ng with all formants moved.

    Args:
        variant: The text of its file; a formant that it does not name is where the language has it.
        factor: What frequencies are multiplied by.

    Returns:
        The text of another file.

    Example:
        >>> from applications.speech.synthesis import move_formants
        >>> print(move_formants("formant 1 120 75 150 -50", 0.5).splitlines()[0])
        formant 1 60 75 150 -25
    """
    lines, found = [], set()
    for line in variant.splitlines():
        if match := re.match(r"formant\s+(\d+)\s+(\d+)((?:\s+-?\d+)*)", line):
            values = match[3].split()
            if len(values) > 2:  # an addend in hertz
                values[2] = str(round(int(values[2]) * factor))
            line = " ".join(["formant", match[1], str(round(int(match[2]) * factor)), *values])
            found.add(int(match[1]))
        lines.append(line)
    lines += [f"formant {number} {round(100 * factor)} 100 100" for number in range(9) if number not in found]
    return "\n".join(lines) + "\n"


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

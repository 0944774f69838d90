"""Listening in chunks, scoring, and speech from synthesisers."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import zoo
from applications.speech import synthesis
from applications.speech.alarms import compose, curve
from applications.speech.commands import add
from applications.speech.listening import Detection, Listener, score
from applications.speech.scoring import Clips, support_vectors, table
from zoo import data, runs
from zoo.cli import main
from zoo.data.audio import ClipReader, FrontEnd

READER = ClipReader(16000, FrontEnd(coefficients=10, frame_seconds=0.04, hop_seconds=0.02))


def model():
    return zoo.create_model("ds_cnn_s", classes=3)


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).normal(size=round(16000 * seconds))).astype(np.float32)


@pytest.mark.parametrize("size", [160, 4001, 16000, 100_000])
def test_chunks_of_any_size_give_the_answers_of_the_whole(size):
    network, sound = model(), noise(2.0)
    begins = np.arange(0, len(sound) - 16000 + 1, 1600)
    windows = np.stack([sound[begin : begin + 16000] for begin in begins])
    expected = network(READER.front_end(windows), training=False).numpy()
    listener = Listener(network, READER, ("a", "b", "c"), step=0.1)
    answers = [
        answer for start in range(0, len(sound), size) for answer in listener.probabilities(sound[start : start + size])
    ]
    np.testing.assert_allclose([begin for begin, _ in answers], begins / 16000)
    np.testing.assert_allclose([answer for _, answer in answers], expected, atol=1e-5)


@pytest.mark.parametrize("front_end", [FrontEnd(), FrontEnd(scale="pcen", bands=10), FrontEnd(differences=1)])
@pytest.mark.parametrize("step", [0.1, 0.0333])
def test_frames_are_shared_by_windows_only_where_that_changes_nothing(front_end, step):
    reader, sound = ClipReader(8000, front_end), noise(1.2)
    network = Remembering()
    listener = Listener(network, reader, ("a", "b"), step=step)
    for start in range(0, len(sound), 1111):
        list(listener.probabilities(sound[start : start + 1111]))
    samples = round(step * 16000)
    begins = range(0, len(sound) - 8000 + 1, samples)
    expected = front_end(np.stack([sound[begin : begin + 8000] for begin in begins])).numpy()
    np.testing.assert_allclose(np.concatenate(network.seen), expected, atol=1e-3)


class Remembering:
    """A network that keeps what it is given."""

    def __init__(self):
        self.seen = []

    def __call__(self, spectrograms, training):
        self.seen.append(np.asarray(spectrograms))
        return np.full((len(spectrograms), 2), 0.5)


class Sure:
    """A network that hears "b" while the middle of the window is loud."""

    def __init__(self):
        self.front_end = READER.front_end

    def __call__(self, spectrogram, training):
        loud = np.asarray(spectrogram)[:, 20:29, 0, 0].mean(1) > -40
        return np.where(loud[:, None], [[0.02, 0.96, 0.02]], [[0.96, 0.02, 0.02]])


def test_a_word_is_reported_once_and_in_its_middle():
    sound = 1e-4 * noise(6.0)
    sound[48000:56000] = 2 * noise(0.5, 1)  # from 3.0 to 3.5 s
    listener = Listener(Sure(), READER, ("silence", "b", "c"), smooth=1)
    found = list(listener.hear(sound, quiet=("silence",)))
    assert [detection.word for detection in found] == ["b"]
    assert found[0].second == pytest.approx(3.1, abs=0.3)
    assert list(Listener(Sure(), READER, ("silence", "b", "c")).hear(1e-4 * noise(3.0), quiet=("silence",))) == []


@pytest.mark.parametrize(
    ("options", "words"), [([], {"b"}), (["--quiet", "b"], {"_silence_"}), (["--quiet"], {"_silence_", "b"})]
)
def test_listening_leaves_out_classes_that_are_no_words(tmp_path, monkeypatch, capsys, options, words):
    soundfile = pytest.importorskip("soundfile")
    facts = {"form": READER.form, "classes": ["_silence_", "b", "_unknown_"]}
    monkeypatch.setattr(runs, "open_run", lambda folder: SimpleNamespace(model=Sure(), config={"data": facts}))
    sound = np.zeros(96000, np.float32)
    sound[48000:56000] = 2 * noise(0.5, 1)
    soundfile.write(tmp_path / "long.wav", sound, 16000)
    assert main(["speech", "listen", "run", str(tmp_path / "long.wav"), "--smooth", "1", *options], add=[add]) == 0
    assert {line.split()[2] for line in capsys.readouterr().out.splitlines()} == words


def test_illegal_settings_of_a_listener_are_refused():
    with pytest.raises(ValueError, match=r"threshold must be above 0 .* Received: threshold=0, smooth=3"):
        Listener(model(), READER, ("a",), threshold=0)


def test_reports_are_matched_with_what_was_spoken():
    spoken = [(1.0, "yes"), (3.0, "no"), (5.0, "yes")]
    heard = [
        Detection(1.2, "yes", 0.9),
        Detection(1.3, "yes", 0.9),
        Detection(3.1, "yes", 0.9),
        Detection(5.0, "yes", 1),
    ]
    result = score(heard, spoken, seconds=1800)
    assert (result.found, result.missed, result.false_alarms, result.false_alarms_per_hour) == (2, 1, 2, 4.0)


def test_false_alarms_are_counted_by_the_hour():
    word, other = 2 * noise(0.5, 1), 2 * noise(0.4, 2)
    options = {"minutes": 1.0, "decibels": 60.0, "rate": 16000, "seed": 0}
    clean, mixed = compose([(word, "b")], [], **options), compose([(word, "b")], [other], **options)
    assert clean.seconds == mixed.seconds == 60
    assert len(clean.spoken) > 12
    for recording in (clean, mixed):
        loud = np.convolve(np.abs(recording.sound), np.ones(1600) / 1600, "same") > 0.05
        assert all(loud[round(16000 * middle)] for middle, _ in recording.spoken)
        gaps = np.diff([middle for middle, _ in recording.spoken])
        assert gaps.min() > 1
    scores = curve(Sure(), READER, ("silence", "b", "c"), clean, (0.5, 0.99), quiet=("silence",), smooth=1)
    assert (scores[0.5].found, scores[0.5].missed, scores[0.5].false_alarms) == (len(clean.spoken), 0, 0)
    assert (scores[0.99].found, scores[0.99].missed) == (0, len(clean.spoken))
    # It takes the other sounds for the word as well.
    mixed_score = curve(Sure(), READER, ("silence", "b", "c"), mixed, (0.5,), quiet=("silence",), smooth=1)[0.5]
    assert mixed_score.found == len(mixed.spoken)
    assert mixed_score.false_alarms_per_hour == 60 * mixed_score.false_alarms > 0
    with pytest.raises(ValueError, match="A recording needs words, and minutes above 0. Received: 0 words"):
        compose([], [], **options)


def tones(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 2
    hertz = np.where(labels, 2500, 400) + rng.uniform(-50, 50, count)
    time = np.arange(16000) / 16000
    return Clips((0.3 * np.sin(2 * np.pi * hertz[:, None] * time)).astype(np.float32), labels)


def test_noise_has_its_ratio_and_the_baseline_learns():
    clips = tones(12, 0)
    noisy = clips.in_noise(10.0, seed=1)
    ratios = 10 * np.log10((clips.sound**2).mean(1) / ((noisy.sound - clips.sound) ** 2).mean(1))
    np.testing.assert_allclose(ratios, 10, atol=0.2)
    scores = table({"machine": support_vectors(clips)}, {"clean": tones(8, 2), "10 dB": tones(8, 2).in_noise(10, 3)})
    assert scores == {"machine": {"clean": 1.0, "10 dB": 1.0}}


@pytest.mark.slow
def test_synthesisers_speak_and_a_network_hears(tmp_path, capsys):
    """The whole way with 18 voices: make, train, score, listen."""
    if not (shutil.which("espeak-ng") and shutil.which("flite")):
        pytest.skip("espeak-ng and flite are packages of Debian that are not installed here")
    soundfile = pytest.importorskip("soundfile")
    assert main(["speech", "make", str(tmp_path), "--voices", "18"], add=[add]) == 0
    dataset = data.load(f"wav:{tmp_path / 'words'}")
    voices = [{name.rsplit("/", 1)[1].split("-")[0] for name in split.names} for split in dataset.splits.values()]
    assert not voices[0] & voices[1] | voices[0] & voices[2] | voices[1] & voices[2]
    settings = runs.Settings(model="ds_cnn_s", data=f"wav:{tmp_path / 'words'}", epochs=12, augment="timeshift+speed")
    run = runs.train(settings, tmp_path / "run")
    assert run.result()["evaluation"]["accuracy"] > 0.6  # of ten words, from nine voices
    assert main(["speech", "score", str(run.folder), "--other", str(tmp_path / "other")], add=[add]) == 0
    assert "other speakers" in capsys.readouterr().out
    words = [data.audio.read_sound(path) for path in sorted((tmp_path / "words" / "test" / "yes").glob("*.wav"))[:3]]
    pause = np.zeros(16000, np.float32)
    recording = np.concatenate([pause, *(part for word in words for part in (word, pause))])
    soundfile.write(tmp_path / "long.wav", recording, 16000)
    assert main(["speech", "listen", str(run.folder), str(tmp_path / "long.wav"), "--threshold", "0.5"], add=[add]) == 0
    command = [
        "speech",
        "alarms",
        str(run.folder),
        "--minutes",
        "1",
        "--others",
        str(tmp_path / "other"),
        "--thresholds",
    ]
    capsys.readouterr()
    assert main([*command, "0.5", "0.99"], add=[add]) == 0
    low, high = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert int(low[1]) >= int(high[1])
    assert int(low[1]) + int(low[2]) == int(high[1]) + int(high[2]) > 5


def test_a_voice_comes_into_one_split_whatever_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "voices", lambda: [f"v{number}" for number in range(45)])
    monkeypatch.setattr(synthesis, "_run", speak)
    first = synthesis.synthesise(tmp_path, ["yes", "no"], limit=12)
    assert synthesis.synthesise(tmp_path, ["yes", "no"], limit=12) == first
    there = sorted(tmp_path.rglob("*.wav"))
    for options in ({}, {"limit": 12, "seed": 1}, {"limit": 12, "words": ["yes"]}):
        with pytest.raises(ValueError, match=r"must hold clips of the same .* Received: .*\.wav\. Give another"):
            synthesis.synthesise(tmp_path, **{"words": ["yes", "no"], **options})
    assert sorted(tmp_path.rglob("*.wav")) == there


def speak(jobs):
    """Files without sound in place of those that a synthesiser writes."""
    for path, _ in jobs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_missing_programs_are_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="espeak-ng is not installed: apt-get install espeak-ng"):
        synthesis.voices()

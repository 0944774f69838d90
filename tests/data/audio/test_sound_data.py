"""Front-ends against formulas of SciPy, sound files and the faults that they have."""

import re
import struct
import sys

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import tensorflow as tf

import zoo
from zoo.data import DataError
from zoo.data.audio import FrontEnd, FrontEndLayer, mel_filters, read_sound


def sound(seconds=0.4, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(round(16000 * seconds)) / 16000
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.05 * rng.normal(size=len(time))).astype(np.float32)


def bands_by_scipy(values, front_end):
    """The mel bands, frame by frame."""
    length, hop = front_end.frame_length, front_end.hop_length
    window = scipy.signal.get_window("hann", length)
    filters = mel_filters(16000, length, front_end.bands, front_end.low_hertz, front_end.high_hertz)
    frames = [values[start : start + length] for start in range(0, len(values) - length + 1, hop)]
    return np.stack([np.abs(scipy.fft.rfft(frame * window)) ** 2 @ filters for frame in frames])


def test_log_mel_cepstrum_and_differences_by_their_formulas():
    values = sound()
    plain = FrontEnd()
    expected = np.log(np.maximum(bands_by_scipy(values, plain), 1e-6))
    np.testing.assert_allclose(plain(values[None])[0, ..., 0], expected, atol=2e-3)
    cepstral = FrontEnd(coefficients=13, differences=2)
    maps = cepstral(values[None])[0].numpy()
    coefficients = scipy.fft.dct(expected, norm="ortho", axis=1)[:, :13]
    np.testing.assert_allclose(maps[..., 0], coefficients, atol=5e-3)
    for order in (0, 1):
        slopes = scipy.signal.savgol_filter(maps[..., order], 9, 1, deriv=1, axis=0, mode="nearest")
        np.testing.assert_allclose(maps[..., order + 1], slopes, atol=1e-4)


def test_pcen_by_its_formula():
    values, front_end = sound(), FrontEnd(scale="pcen")
    mel = bands_by_scipy(values, front_end)
    frames = 0.4 / 0.01
    weight = (np.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
    smooth, _ = scipy.signal.lfilter([weight], [1, weight - 1], mel, axis=0, zi=(1 - weight) * mel[:1])
    expected = (mel / (1e-6 + smooth) ** 0.98 + 2) ** 0.5 - 2**0.5
    np.testing.assert_allclose(front_end(values[None])[0, ..., 0], expected, rtol=2e-3, atol=1e-4)


@pytest.mark.slow  # librosa compiles for most of a minute
def test_the_definition_is_that_of_librosa():
    librosa = pytest.importorskip("librosa", reason="librosa is an oracle that the default environment does not have")
    values, own = sound(1.0), FrontEnd()
    options = {"sr": 16000, "n_fft": 400, "hop_length": 160, "center": False, "n_mels": 40, "fmin": 20, "fmax": 7600}
    mel = librosa.feature.melspectrogram(y=values, **options)
    np.testing.assert_allclose(mel_filters(16000, 400, 40, 20, 7600).T, librosa.filters.mel(
        sr=16000, n_fft=400, n_mels=40, fmin=20, fmax=7600), atol=1e-7)  # fmt: skip
    logs = np.log(np.maximum(mel, 1e-6))
    np.testing.assert_allclose(own(values[None])[0, ..., 0], logs.T, atol=2e-3)
    cepstral = FrontEnd(coefficients=10, differences=1)(values[None])[0].numpy()
    expected = librosa.feature.mfcc(S=logs, n_mfcc=10)
    np.testing.assert_allclose(cepstral[..., 0], expected.T, atol=5e-3)
    np.testing.assert_allclose(cepstral[..., 1], librosa.feature.delta(expected, mode="nearest").T, atol=1e-3)
    weight = (np.sqrt(1 + 4 * 40**2) - 1) / (2 * 40**2)
    pcen = librosa.pcen(mel, sr=16000, hop_length=160, b=weight, zi=(1 - weight) * mel[:, :1])
    np.testing.assert_allclose(FrontEnd(scale="pcen")(values[None])[0, ..., 0], pcen.T, rtol=2e-3, atol=1e-4)


def test_a_clip_does_not_depend_on_the_others_of_its_batch():
    quiet, loud = 1e-4 * sound(seed=1), sound(seed=2)
    alone = FrontEnd()(quiet[None])[0]
    together = FrontEnd()(np.stack([quiet, loud]))[0]
    np.testing.assert_allclose(alone, together, atol=1e-4)
    assert np.isfinite(FrontEnd()(np.zeros((1, 800), np.float32))).all()


def test_inside_of_a_model_are_the_same_numbers(tmp_path):
    import keras

    layer = FrontEndLayer(coefficients=10, frame_seconds=0.04, hop_seconds=0.02)
    values = sound(1.0)[None]
    np.testing.assert_array_equal(layer(values), layer.front_end(values))
    model = zoo.create_model("ds_cnn_s", input_tensor=layer(keras.Input((16000,))), classes=3)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(values), model(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"high_hertz": 9000.0}, "Frequencies must rise and stay below half of the sample rate, 8000 Hz"),
        ({"coefficients": 41}, "at most as many coefficients as bands. Received: coefficients=41, bands=40"),
        ({"hop_seconds": 0.0}, "must be above 0"),
        ({"coefficients": 5, "scale": "pcen"}, "made of logarithms"),
        ({"scale": "mel"}, "scale must be log or pcen. Received: scale='mel'"),
    ],
)
def test_illegal_front_ends_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        FrontEnd(**values)


def wav(rate=16000, count=800, *, claimed=None):
    """A WAV file of 16 bits, by hand."""
    content = np.arange(count, dtype="<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(content), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return head + struct.pack("<4sI", b"data", len(content) if claimed is None else claimed) + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"RIFF", "is no sound that can be read"),
        (b"no sound at all" * 10, "is no sound that can be read"),
        (wav(claimed=5000), "is cut short: its header says 5000 bytes of sound, and there are 1600"),
        (wav(rate=0), "says that it has 0 samples a second"),
        (wav(count=0), "holds no sound"),
        (wav(rate=8, count=800), "is 100 s long; a clip has 60 s at most"),
    ],
)
def test_faults_of_files_are_named(tmp_path, content, message):
    pytest.importorskip("soundfile")
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*" + message):
        read_sound(path, longest=60)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("FLAC", "PCM_16")],
)
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (16000, 2)])
def test_all_widths_rates_and_channels_are_read(tmp_path, form, subtype, rate, channels):
    soundfile = pytest.importorskip("soundfile")
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    path = tmp_path / "a.wav"  # FLAC under another name, too
    soundfile.write(path, np.stack([tone] * channels, 1), rate, format=form, subtype=subtype)
    values = read_sound(path)
    assert values.shape == (16000,)
    assert values.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(values[200:-200], expected[200:-200], atol=0.02)


def test_without_soundfile_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.wav").write_bytes(wav())
    with pytest.raises(DataError, match=re.escape('needs soundfile: pip install "cnn-zoo[audio]"')):
        read_sound(tmp_path / "a.wav")


@pytest.fixture
def folder(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    for label, hertz in (("low", 300), ("high", 2500)):
        for index in range(12):
            path = tmp_path / label / f"voice{index % 4}-{index}.wav"
            path.parent.mkdir(exist_ok=True)
            time = np.arange(9000 + 500 * index) / 16000
            soundfile.write(path, 0.3 * np.sin(2 * np.pi * (hertz + 20 * index) * time), 16000)
    return tmp_path


def test_a_folder_of_clips_and_its_front_ends(folder):
    dataset = zoo.data.load(f"wav:{folder}")
    assert dataset.classes == ("high", "low")
    assert dataset.image_shape == (16000,)
    shapes = {
        (49, 10, 1): (49, 10, 1), (101, 40, 1): (98, 40, 1), (15, 40, 3): (98, 40, 3), (128, 64, 1): (98, 64, 1),
    }  # fmt: skip
    for wanted, made in shapes.items():
        formed = dataset.for_model("audio", wanted)
        assert formed.image_shape == made
        pipeline = formed.pipeline("train", batch_size=4)
        assert next(iter(pipeline.epoch()))[0].shape[1:] == made
        assert pipeline.element_spec[0].shape[1:] == made
    chosen = zoo.data.load(f"wav:{folder}?bands=32&hop_seconds=0.02").for_model("audio", (49, 10, 1))
    assert chosen.image_shape == (49, 32, 1)
    grouped = zoo.data.load(f"wav:{folder}", group_by="(voice[0-9])")
    voices = [{name.split("/")[1][:6] for name in split.names} for split in grouped.splits.values()]
    assert not set.intersection(*voices)
    for text, message in [("band=3", "A front-end has sample_rate"), ("bands=x", "bands is int. Received: 'bands=x'"),
                          ("sample_rate=8000", "Clips are read at 16000")]:  # fmt: skip
        with pytest.raises(DataError, match=message):
            zoo.data.load(f"wav:{folder}?{text}")


def test_splits_that_are_there_are_kept_to(folder):
    root = folder / "divided"
    for path in sorted(folder.glob("*/*.wav")):
        voice = path.name.partition("-")[0]
        split = {"voice2": "val", "voice3": "test"}.get(voice, "train")
        target = root / split / path.parent.name / path.name.replace("voice3", "guest")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    dataset = zoo.data.load(f"wav:{root}", group_by="(voice[0-9])")
    assert dataset.num_examples == {"train": 12, "validation": 6, "test": 6}
    assert set(dataset.splits["train"].groups) == {"voice0", "voice1"}
    assert set(dataset.splits["validation"].groups) == {"voice2"}
    assert dataset.splits["test"].groups == dataset.splits["test"].names  # none is matched
    with pytest.raises(DataError, match=r"group_by matches no name, such as 'train/high/voice0-0\.wav'"):
        zoo.data.load(f"wav:{root}", group_by="(singer)")
    (root / "notes.txt").touch()
    with pytest.raises(DataError, match=r"what belongs to none: notes\.txt"):
        zoo.data.load(f"wav:{root}")
    (root / "train").rename(root / "training")
    with pytest.raises(DataError, match="has the splits test, validation and no train; add it"):
        zoo.data.load(f"wav:{root}")


@pytest.mark.parametrize("name", ["soundfiles", "two words"])
def test_a_reason_has_no_part_of_the_path(folder, monkeypatch, name):
    root = folder / name
    for label in ("low", "high"):
        root.mkdir(exist_ok=True)
        (folder / label).rename(root / label)
    (root / "low" / "broken.wav").write_bytes(wav(claimed=9999))
    dataset = zoo.data.load(f"wav:{root}", on_bad="count")
    reason = "is cut short: its header says 9999 bytes of sound, and there are 1600."
    assert dataset.bad_files == {"low/broken.wav": reason}
    assert dataset.num_bad_files == {"is cut short": 1}
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match="^Reading sound needs soundfile"):
        zoo.data.load(f"wav:{root}", on_bad="count")


def test_bad_clips_are_named_or_left_out(folder):
    (folder / "low" / "broken.wav").write_bytes(wav(claimed=9999))
    with pytest.raises(DataError, match=r"low/broken\.wav is cut short"):
        zoo.data.load(f"wav:{folder}")
    dataset = zoo.data.load(f"wav:{folder}", on_bad="skip")
    assert sum(dataset.num_examples.values()) == 24
    assert list(dataset.bad_files) == ["low/broken.wav"]


def test_sound_is_augmented_by_seed_epoch_and_example(folder):
    dataset = zoo.data.load(f"wav:{folder}").for_model("audio", (49, 10, 1))
    text = "timeshift(0.2)+speed(0.1)+gain+noise(0, 10, 1.0)"
    pipeline = dataset.pipeline("train", batch_size=4, training=True, seed=1, augmentation=text)
    first, again, other = (next(iter(pipeline.epoch(epoch)))[0].numpy() for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    with pytest.raises(DataError, match="are for sound, and digits holds pictures"):
        zoo.data.load("digits").pipeline("train", batch_size=4, training=True, augmentation="gain")


def test_masks_hide_bands_and_frames_behind_the_mean():
    rng = np.random.default_rng(0)
    spectrogram = rng.normal(size=(98, 40, 2)).astype(np.float32)
    widths = {0: set(), 1: set()}
    for number in range(60):
        step = zoo.data.SpecAugment(bands=7, frames=20, band_masks=1, frame_masks=1)
        masked = step.apply(tf.constant(spectrogram), tf.constant([5, number], tf.int64)).numpy()
        hidden = masked != spectrogram
        np.testing.assert_array_equal(hidden[..., 0], hidden[..., 1])  # all maps alike
        frames, bands = hidden[..., 0].all(1), hidden[..., 0].all(0)
        np.testing.assert_array_equal(hidden[..., 0], frames[:, None] | bands[None])
        mean = np.broadcast_to(spectrogram.mean((0, 1)), masked.shape)
        np.testing.assert_allclose(masked[hidden], mean[hidden], atol=1e-5)
        for axis, places in enumerate((np.flatnonzero(frames), np.flatnonzero(bands))):
            assert len(places) == 0 or places[-1] - places[0] == len(places) - 1  # one piece
            widths[axis].add(len(places))
    assert max(widths[0]) == 20
    assert max(widths[1]) == 7
    assert 0 in widths[1]
    most = zoo.data.SpecAugment(bands=0, frames=90, most=0.1).apply(
        tf.constant(spectrogram), tf.constant([0, 1], "int64")
    )
    assert 0 < (most.numpy()[:, 0, 0] != spectrogram[:, 0, 0]).sum() <= 18
    nothing = zoo.data.SpecAugment(band_masks=0, frame_masks=0).apply(
        tf.constant(spectrogram), tf.constant([0, 1], "int64")
    )
    np.testing.assert_array_equal(nothing, spectrogram)


def test_masks_come_behind_the_front_end_by_seed_epoch_and_example(folder):
    raw = zoo.data.load(f"wav:{folder}")
    dataset = raw.for_model("audio", (98, 40, 1))
    text = "specaugment(frames=30, band_masks=1)"
    assert str(zoo.data.Augmentation.parse(text)) == text
    options = {"batch_size": 4, "training": True, "seed": 1}
    plain = dataset.pipeline("train", **options)
    masked = dataset.pipeline("train", **options, augmentation=text)
    first, again, other = (next(iter(masked.epoch(epoch)))[0].numpy() for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    same = np.isclose(first, next(iter(plain.epoch(0)))[0].numpy(), atol=1e-5)[..., 0]
    np.testing.assert_array_equal(same, same.any(2)[..., None] & same.any(1)[:, None])  # rows and columns
    assert len({row.tobytes() for row in same}) == 4  # each clip has its own
    assert not np.array_equal(same, np.isclose(other, next(iter(plain.epoch(1)))[0].numpy(), atol=1e-5)[..., 0])
    both = dataset.pipeline("train", **options, augmentation=f"gain+{text}")
    batches = list(both.epoch(1))
    np.testing.assert_array_equal(next(iter(both.epoch(1, start=2)))[0], batches[2][0])
    for augmentation, message in [
        ("specaugment+gain", "so it comes once and last"),
        ("specaugment(bands=-1)", "whole numbers of at least 0"),
        ("specaugment(most=0)", "and most above 0. Received: specaugment"),
        ("specaugment(most=2)", "specaugment: most must be from 0 to 1"),
    ]:
        with pytest.raises(DataError, match=re.escape(message)):
            dataset.pipeline("train", **options, augmentation=augmentation)
    with pytest.raises(DataError, match="is sound as it is; for_model makes spectrograms of it"):
        raw.pipeline("train", **options, augmentation="specaugment")


def test_each_change_of_sound_does_what_it_says():
    clip = tf.constant(np.sin(2 * np.pi * 0.01 * np.arange(1000)).astype(np.float32))
    seeds = [tf.constant([0, number], tf.int64) for number in range(40)]
    for seed in seeds:
        shifted = zoo.data.TimeShift(0.1).apply(clip, seed).numpy()
        begin = int(np.argmax(shifted != 0))
        assert begin <= 101
        expected = np.append(clip, 0)[:, None]
        assert np.abs(expected - shifted).min(0).max() == 0
        louder = zoo.data.Gain(6.0).apply(clip, seed)
        assert 0.5 < float(louder[25] / clip[25]) < 2.0
    noisy = [zoo.data.Noise(10.0, 10.0, 1.0).apply(clip, seed) - clip for seed in seeds]
    ratios = [10 * np.log10(np.mean(clip.numpy() ** 2) / np.mean(part.numpy() ** 2)) for part in noisy]
    np.testing.assert_allclose(ratios, 10, atol=0.01)
    crossings = [np.flatnonzero(np.diff(np.signbit(zoo.data.Speed(0.3).apply(clip, seed)[200:800]))) for seed in seeds]
    periods = [2 * np.diff(places).mean() for places in crossings]
    assert 100 / 1.32 < min(periods) < 85 < 115 < max(periods) < 100 / 0.68
    np.testing.assert_allclose(zoo.data.Speed(0.0).apply(clip, seeds[0]), clip, atol=1e-5)
    for step, message in [
        (lambda: zoo.data.Speed(1.0), "speed must be from 0 to below 1"),
        (lambda: zoo.data.Gain(-1.0), "gain must be at least 0 decibels"),
        (lambda: zoo.data.Noise(9.0, 3.0), "noise needs low at most high"),
        (lambda: zoo.data.TimeShift(2.0), "timeshift: part must be from 0 to 1"),
    ]:
        with pytest.raises(DataError, match=message):
            step()

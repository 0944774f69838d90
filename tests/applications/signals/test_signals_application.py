"""Filters, nearest neighbours and the denoising of electrocardiograms."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import zoo
from applications.signals import denoising, filters
from applications.signals.commands import add
from applications.signals.config import DEFAULT, SMOKE
from applications.signals.denoising import compare, denoise, record, windows
from applications.signals.nearest import _warped, nearest_neighbour
from zoo import runs
from zoo.cli import main
from zoo.data.signals import add_noise, make_ecg


def test_filters_keep_what_they_must():
    line = np.linspace(0, 1, 200)
    for smooth in (filters.average(9), filters.savitzky_golay(9, 2)):
        np.testing.assert_allclose(smooth(line)[20:-20], line[20:-20], atol=1e-9)
    parabola = line**2
    np.testing.assert_allclose(filters.savitzky_golay(9, 2)(parabola), parabola, atol=1e-9)


def test_the_learned_filter_finds_the_filter_that_was_used():
    rng = np.random.default_rng(0)
    noisy = [rng.normal(size=4000) for _ in range(2)]
    kernel = np.array([0.2, 0.5, 0.3])
    clean = [np.correlate(np.pad(signal, 1), kernel, "valid") for signal in noisy]
    found = filters.learned(clean, noisy, taps=5)
    np.testing.assert_allclose(found(noisy[0]), clean[0], atol=1e-3)


def test_the_best_width_is_chosen_on_training_recordings():
    recordings = record(range(3), SMOKE, lambda _: 6.0, kind=1)
    candidates = [filters.average(width) for width in (1, 7, 201)]
    assert filters.best(candidates, recordings.clean, recordings.noisy) is candidates[1]


def test_warping_forgives_a_shift_that_distance_does_not():
    time = np.arange(60)
    bump = lambda place: np.exp(-((time - place) ** 2) / 8)  # noqa: E731
    train = np.stack([bump(20), np.full(60, 0.14)])
    test = np.stack([bump(26)])
    labels = np.array([0, 1])
    assert nearest_neighbour(train, labels, test).tolist() == [1]
    assert nearest_neighbour(train, labels, test, warping=0.2).tolist() == [0]


@pytest.mark.parametrize("channels", [1, 3])
def test_warping_is_the_cheapest_path(channels):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 12, channels))
    costs = np.full((13, 13), np.inf)
    costs[0, 0] = 0
    for i in range(1, 13):
        for j in range(1, 13):
            costs[i, j] = ((first[i - 1] - second[j - 1]) ** 2).sum() + min(
                costs[i - 1, j], costs[i, j - 1], costs[i - 1, j - 1]
            )
    assert _warped(first, second[None], reach=12)[0] == pytest.approx(costs[-1, -1])


def test_channels_are_warped_together(tmp_path, capsys):
    """Each test signal is one to train by in the other channel, and of the other class."""
    train = np.zeros((20, 60, 2))
    labels = np.arange(20) % 2
    train[np.arange(20), :, labels] = np.random.default_rng(0).normal(size=(20, 60))
    np.savez(tmp_path / "a.npz", x_train=train, y_train=labels, x_test=train[..., ::-1], y_test=1 - labels)
    assert main(["signals", "nearest", f"signals:{tmp_path / 'a.npz'}"], add=[add]) == 0
    assert "warping by 0.1: accuracy 100.00 %" in capsys.readouterr().out


def test_patients_and_noise_of_the_splits_differ_and_windows_match():
    train = record(range(2), SMOKE, lambda _: 6.0, draws=2, kind=1)
    test = record(range(2, 3), SMOKE, lambda _: 6.0, kind=4)
    np.testing.assert_array_equal(train.clean[0], train.clean[1])
    assert not np.array_equal(train.noisy[0], train.noisy[1])
    assert not np.allclose(train.clean[0], test.clean[0])
    noisy, clean = windows(train, 512)
    assert noisy.shape == clean.shape == (4 * 2, 512, 1)
    scale = train.noisy[0].std()
    np.testing.assert_allclose(noisy[0, :, 0] * scale, train.noisy[0, :512], rtol=1e-5)


def test_another_seed_has_other_patients_and_other_noise():
    first, other = (record(range(3), dataclasses.replace(SMOKE, seed=seed), lambda _: 6.0, kind=1) for seed in (0, 1))
    for number in range(3):
        assert abs(np.corrcoef(first.clean[number], other.clean[number])[0, 1]) < 0.9
        noises = [recordings.noisy[number] - recordings.clean[number] for recordings in (first, other)]
        assert abs(np.corrcoef(*noises)[0, 1]) < 0.9
    clean = make_ecg(SMOKE.seconds, seed=2)
    np.testing.assert_array_equal(first.clean[2], clean)
    np.testing.assert_array_equal(first.noisy[2], add_noise(clean, 6.0, seed=1_000_002))


def test_denoising_does_not_depend_on_the_scale():
    model = zoo.create_model("dilated_denoiser", input_shape=(None, 1))
    signal = np.random.default_rng(0).normal(size=700).astype("float32")
    np.testing.assert_allclose(denoise(model, 5 * signal), 5 * denoise(model, signal), rtol=1e-3, atol=1e-4)


def test_the_comparison_runs_and_writes_what_it_found(tmp_path, capsys):
    assert main(["signals", "denoise", "--smoke", "--out", str(tmp_path)], add=[add]) == 0
    out = capsys.readouterr().out
    assert "dilated_denoiser" in out
    assert {path.name for path in tmp_path.iterdir()} == {"denoiser.keras", "result.json", "before_and_after.png"}


def test_nothing_is_trained_for_a_file_in_place_of_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(denoising, "record", lambda *patients, **options: pytest.fail("began"))
    (tmp_path / "file").write_text("")
    assert main(["signals", "denoise", "--smoke", "--out", str(tmp_path / "file")], add=[add]) == 2
    assert "File exists" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.exhaustive  # the comparison that runs by default, with more recordings and epochs
def test_a_short_training_beats_the_filters():
    config = dataclasses.replace(DEFAULT, recordings=(30, 4, 6), draws=4, epochs=20, tested=(6.0,))
    scores = {name: found["6"] for name, found in compare(config).items()}
    assert scores["none"] == pytest.approx(6, abs=0.1)
    rivals = [scores[name] for name in ("average", "Savitzky-Golay", "learned filter of 129 taps")]
    assert scores["dilated_denoiser"] > max(rivals)


def test_nearest_neighbours_have_about_the_published_accuracy(capsys):
    assert main(["signals", "nearest", "signals:synthetic_control"], add=[add]) == 0
    lines = capsys.readouterr().out.splitlines()
    distance, warping = (float(line.rsplit(" ", 2)[-2]) for line in lines)
    # Published for the archive's own draw: 88.0 and, with a learned window of 6 %, 98.3.
    assert 83 < distance < 95
    assert 96 < warping <= 100
    assert main(["signals", "nearest", "digits"], add=[add]) == 2


@pytest.mark.slow
def test_each_window_of_a_recording_gets_its_class(tmp_path, capsys):
    time = np.arange(600)
    for number in range(20):
        label, period = (("slow", 40), ("fast", 10))[number % 2]
        path = tmp_path / "data" / label / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.sin(2 * np.pi * (time + number) / period))
    settings = runs.Settings(model="fcn_1d", data=f"signals:{tmp_path / 'data'}?window=100", epochs=6, batch_size=8)
    run = runs.train(settings, tmp_path / "run")
    halves = np.concatenate([np.sin(2 * np.pi * time / 40), np.sin(2 * np.pi * time / 10)])
    np.save(tmp_path / "long.npy", halves)
    assert main(["signals", "windows", str(run.folder), str(tmp_path / "long.npy"), "--hop", "50"], add=[add]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == (1200 - 100) // 50 + 1
    assert rows[1].split("\t")[:2] == ["50", "150"]
    assert last.startswith("all\t")
    assert {row.split("\t")[2] for row in rows[:10]} == {"slow"}
    assert {row.split("\t")[2] for row in rows[-10:]} == {"fast"}


@pytest.mark.parametrize("window", [{}, {"window": 4, "hop": 4}])
def test_windows_are_taken_at_the_hop_that_is_asked_for(tmp_path, monkeypatch, capsys, window):
    """Also by a network that has learned whole signals of one length."""
    facts = {"form": {"kind": "signal", "shape": [4, 1], **window}, "classes": ["a", "b"]}
    model = lambda values, training: np.full((len(values), 2), 0.5)  # noqa: E731
    monkeypatch.setattr(runs, "open_run", lambda folder: SimpleNamespace(model=model, config={"data": facts}))
    np.save(tmp_path / "long.npy", np.arange(9.0))
    command = ["signals", "windows", "run", str(tmp_path / "long.npy")]
    for hop, begins in ((["--hop", "2"], ["0", "2", "4"]), ([], ["0", "4"])):
        assert main([*command, *hop], add=[add]) == 0
        rows = capsys.readouterr().out.splitlines()
        assert [row.split("\t")[0] for row in rows] == [*begins, "all"]

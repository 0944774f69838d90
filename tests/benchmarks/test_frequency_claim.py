"""The benchmark of filters that move along frequency, in a short form."""

import shutil

import frequency_claim as benchmark
import keras
import numpy as np
import pytest

from applications.speech import synthesis


def test_the_networks_are_of_one_size_and_differ_in_what_they_should():
    models = {kind: benchmark.fitting(kind, 10) for kind in benchmark.KINDS}
    sizes = [model.count_params() for model in models.values()]
    assert min(sizes) > 0.95 * benchmark.PARAMETERS
    assert max(sizes) <= benchmark.PARAMETERS
    first = {kind: model.layers[1] for kind, model in models.items()}
    assert all(isinstance(layer, keras.layers.Conv2D) for layer in first.values())
    assert [layer.output.shape[2] for layer in first.values()] == [1, 20, 20]  # places on the frequency axis
    heights = {kind: model.layers[-1].kernel.shape[0] // model.layers[1].filters for kind, model in models.items()}
    assert heights == {"time": 1, "frequency": 1, "frequency, places kept": 20}


def test_all_formants_are_moved():
    moved = synthesis.move_formants("name x\nformant 1 100 80 150 -50\nformant 2 135 70\n", 0.8).splitlines()
    assert moved[:3] == ["name x", "formant 1 80 80 150 -40", "formant 2 108 70"]
    assert sorted(line.split()[1] for line in moved[1:]) == [str(number) for number in range(9)]
    assert {line.split()[2] for line in moved[3:]} == {"80"}


def test_factors_have_a_range(tmp_path):
    with pytest.raises(ValueError, match="formants must be from 0.5 to 2. Received: formants=3"):
        synthesis.synthesise_shifted(tmp_path, 3, ["f1"])


@pytest.mark.slow
def test_the_benchmark_runs_and_formants_are_where_they_should_be(tmp_path, capsys):
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is a package of Debian that is not installed here")
    pytest.importorskip("soundfile")
    from zoo.data.audio import read_sound

    arguments = ["--voices", "2", "--seeds", "0", "--epochs", "2", "--folder", str(tmp_path)]
    rows = benchmark.main([*arguments, "--out", str(tmp_path / "table.md")])
    assert [row["network"] for row in rows] == list(benchmark.KINDS)
    assert (tmp_path / "table.md").read_text() == capsys.readouterr().out
    for path in (tmp_path / "1").rglob("*.wav"):
        centres = []
        for factor in ("0.8", "1", "1.25"):
            sound = read_sound(tmp_path / factor / path.relative_to(tmp_path / "1"))
            powers = np.abs(np.fft.rfft(sound)) ** 2
            hertz = np.fft.rfftfreq(len(sound), 1 / 16000)
            inside = (hertz > 200) & (hertz < 5000)
            centres.append((powers * hertz)[inside].sum() / powers[inside].sum())
        assert centres[0] < 1.05 * centres[1]
        assert centres[2] > 0.95 * centres[1]
        if path.parent.name == "yes":
            assert centres[0] < centres[1] < centres[2]  # also where the accent would have its own voice

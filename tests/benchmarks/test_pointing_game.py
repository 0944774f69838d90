"""What counts as a hit, and that maps hit more than what knows nothing."""

import numpy as np
import pointing_game as benchmark
import pytest


def test_scenes_hold_a_digit_where_they_say():
    x, y, corners = benchmark.scenes(40, training=False, seed=3)
    assert x.shape == (40, 32, 32, 1)
    assert set(y) <= set(range(10))
    for scene, (row, column) in zip(x, corners, strict=True):
        brightest = np.array(np.unravel_index(scene[..., 0].argmax(), (32, 32)))
        assert (brightest >= (row, column)).all()
        assert (brightest < (row + 12, column + 12)).all()
    assert not np.allclose(x, benchmark.scenes(40, training=True, seed=3)[0])


def test_hits_and_the_strongest_pixel():
    corners = np.array([[10, 10], [10, 10], [0, 20], [10, 10]])
    points = np.array([[8, 23], [7, 12], [13, 33], [10, 24]])
    assert benchmark.hits(points, corners) == 0.5
    map_ = np.zeros((32, 32, 2))
    map_[3, 4], map_[5, 6] = (-9, 1), (1, 1)
    assert benchmark.strongest(map_) == (5, 6)
    coarse = np.zeros((8, 8))
    coarse[2, 5] = 1
    row, column = benchmark.strongest(coarse)
    assert (row // 4, column // 4) == (2, 5)


def test_bad_numbers_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--scenes", "0"])
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_maps_point_at_digits_and_some_do_not_depend_on_what_was_learned():
    found = benchmark.main(["--scenes", "60", "--epochs", "6", "--training-scenes", "3000"])
    baseline = max(found["centre"][0], found["by lot"][0])
    for name in ("Grad-CAM", "occlusion", "SmoothGrad", "integrated gradients"):
        assert found[name][0] > baseline + 0.2, name
    # The expected failure: guided backpropagation draws nearly the same map without the last layers' weights.
    assert found["guided backpropagation"][1] > 0.6
    assert found["saliency"][1] < found["guided backpropagation"][1] - 0.2
    assert found["Grad-CAM"][1] < found["guided backpropagation"][1] - 0.2

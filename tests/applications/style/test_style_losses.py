"""Gram matrices and distances by hand, their gradient, and the optimisation of a picture."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from applications.style import gatys, losses
from applications.style.body import Body
from applications.style.config import SMOKE


@pytest.fixture(scope="module")
def body():
    """Two smooth layers in double precision, whose gradient finite differences can tell."""
    pixels = keras.Input((None, None, 3), name="pixels", dtype="float64")
    x = keras.layers.Rescaling(1 / 255, dtype="float64")(pixels)
    maps = {}
    for name, filters, strides in (("one", 6, 1), ("two", 8, 2)):
        x = keras.layers.Conv2D(
            filters, 3, strides=strides, padding="same", activation="tanh", dtype="float64", name=name,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.4, seed=filters),
        )(x)  # fmt: skip
        maps[name] = x
    return Body("smooth", keras.Model(pixels, maps), ("two",), ("one", "two"))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 256, shape, "uint8") for shape in ((12, 10, 3), (9, 14, 3)))


def test_gram_by_hand():
    maps = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])
    found = losses.gram(maps)
    assert found.numpy().tolist() == [[[5.0, 7.0], [7.0, 10.0]]]
    wanted = tf.constant([[[1.0, 3.0], [5.0, 10.0]]])
    # 4² + 4² + 2² = 36, over 4 N² = 16.
    assert losses.style_distance(found, wanted).numpy().tolist() == [2.25]
    assert losses.relative(found, wanted).numpy() == pytest.approx(36 / 135)


def test_gram_is_that_of_the_paper_by_its_sums():
    maps = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    for one, found in zip(maps, losses.gram(tf.constant(maps)).numpy(), strict=True):
        flat = one.reshape(20, 3).T
        np.testing.assert_allclose(found, np.einsum("ik,jk->ij", flat, flat) / 20, rtol=1e-12)
        np.testing.assert_allclose(found, found.T)
        assert np.linalg.eigvalsh(found).min() >= 0


def test_style_does_not_see_where_and_content_does():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(1, 6, 7, 5))
    shuffled = rng.permutation(maps.reshape(42, 5)).reshape(maps.shape)
    target = {"layer": losses.gram(tf.constant(maps))}
    assert losses.style_loss({"layer": tf.constant(shuffled)}, target).numpy() == pytest.approx(0, abs=1e-20)
    assert losses.content_loss({"layer": tf.constant(shuffled)}, {"layer": tf.constant(maps)}).numpy() > 0.5


def test_losses_vanish_at_their_target_and_variation_counts_steps(body, pictures):
    content, _ = pictures
    parts = gatys.Objective(content, content, body, SMOKE).parts(content.ravel() / 255)
    assert parts["content"] == pytest.approx(0, abs=1e-15)
    assert parts["style"] == pytest.approx(0, abs=1e-15)
    stairs = np.zeros((1, 2, 3, 1), "float32")
    stairs[0, :, 1:] = 51
    assert losses.total_variation(tf.constant(stairs)).numpy() == pytest.approx([0.1])


def test_the_gradient_is_that_of_finite_differences(body, pictures):
    config = dataclasses.replace(SMOKE, content_weight=0.7, style_weight=3.0, variation_weight=0.5)
    objective = gatys.Objective(*pictures, body, config)
    rng = np.random.default_rng(1)
    place = rng.uniform(0.1, 0.9, objective.shape).ravel()
    _, gradient = objective(place)
    for _ in range(5):
        way = rng.normal(size=len(place))
        step = 1e-6
        slope = (objective(place + step * way)[0] - objective(place - step * way)[0]) / (2 * step)
        assert gradient @ way == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_transfer_falls_and_goes_on_as_if_never_interrupted(body, pictures, tmp_path, solver):
    config = dataclasses.replace(SMOKE, solver=solver, iterations=12, restart=5, start="noise")
    whole = gatys.paint(*pictures, body, config)
    assert len(whole.history) == 13
    assert whole.history[-1] < 0.4 * whole.history[0]
    if solver == "lbfgs":
        assert all(after <= before for before, after in zip(whole.history, whole.history[1:], strict=False))

    def interrupt(done, loss):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gatys.paint(*pictures, body, config, folder=tmp_path, progress=interrupt)
    again = gatys.paint(*pictures, body, config, folder=tmp_path)
    assert again.history == whole.history
    np.testing.assert_array_equal(again.picture, whole.picture)
    assert whole.parts["style"] < 0.5


@pytest.mark.slow
def test_a_transfer_begins_where_it_is_told(body, pictures):
    content, style = pictures
    for start, expected in (("content", content), ("noise", None)):
        config = dataclasses.replace(SMOKE, start=start, iterations=1, solver="adam", learning_rate=1e-6)
        found = gatys.paint(content, style, body, config).picture
        assert found.shape == content.shape
        if expected is not None:
            assert abs(found.astype(int) - expected).max() <= 1
    config = dataclasses.replace(SMOKE, start="style", iterations=1, solver="adam", learning_rate=1e-6)
    assert gatys.paint(style, style, body, config).parts["content"] == pytest.approx(0, abs=1e-6)

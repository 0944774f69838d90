"""The networks of Go: counts by the papers' own tables, position biases, masks, boards that are refused."""

import keras
import numpy as np
import pytest

import zoo
from zoo.data.go import Board, encoder, symmetries


def conv(kernel, channels, filters, biases):
    return kernel * kernel * channels * filters + biases


@pytest.mark.parametrize(
    ("filters", "expected"), [(128, 1_777_641), (192, 3_882_793), (256, 6_798_953), (384, 15_064_297)]
)
def test_policy_networks_have_the_papers_layers(filters, expected):
    k = filters
    by_table = conv(5, 48, k, k) + 11 * conv(3, k, k, k) + conv(1, k, 1, 361)
    assert by_table == expected == zoo.model_card(f"go_policy_{filters}").num_params
    model = zoo.create_model(f"go_policy_{filters}", filters=4)
    kernels = [layer.kernel.shape[:2] for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert kernels == [(5, 5)] + [(3, 3)] * 11 + [(1, 1)]
    assert not any("Pool" in type(layer).__name__ for layer in model.layers)


def test_value_network_has_the_papers_layers():
    k = 192
    by_table = conv(5, 49, k, k) + 11 * conv(3, k, k, k) + conv(1, k, 1, 1) + (361 + 1) * 256 + 256 + 1
    assert by_table == zoo.model_card("go_value").num_params


def test_maddisons_network_has_the_papers_size():
    """2.3 million parameters, 630 million connections, 550,000 hidden units (abstract and section 4)."""
    card = zoo.model_card("go_maddison")
    by_table = conv(5, 36, 128, 361 * 128) + 11 * conv(3, 128, 128, 361 * 128) + conv(1, 128, 1, 361)
    assert card.num_params == by_table
    assert round(card.num_params / 1e6, 1) == 2.3
    assert round(card.num_macs / 1e6, -1) == 630
    assert round(12 * 128 * 361, -4) == 550_000


@pytest.mark.parametrize(("name", "blocks"), [("go_zero_19", 19), ("go_zero_39", 39)])
def test_zeros_network_has_the_papers_layers(name, blocks):
    k, norm = 256, 2
    tower = conv(3, 17, k, norm * k) + 2 * blocks * conv(3, k, k, norm * k)
    policy = conv(1, k, 2, norm * 2) + (2 * 361 + 1) * 362
    value = conv(1, k, 1, norm) + (361 + 1) * 256 + 256 + 1
    card = zoo.model_card(name)
    assert card.num_params == tower + policy + value
    # With the statistics of batch norm, and a bias for each convolution, which batch norm would take back.
    with_biases = card.num_params + card.num_state + (2 * blocks + 1) * k + 3
    assert round(with_biases / 1e6, 2) == {19: 22.86, 39: 46.50}[blocks]


def test_the_rollout_policy_is_masked_too():
    arguments = {"input_shape": (5, 5, 3), "legal_planes": [1]}
    model = zoo.create_model("go_rollout", **arguments)
    legal = np.random.default_rng(0).integers(0, 2, (4, 5, 5))
    planes = np.stack([np.ones_like(legal), legal, 1 - legal], -1).astype("float32")
    answer = np.asarray(model(planes))
    assert (answer[legal.reshape(4, 25) == 0] == 0).all()
    np.testing.assert_allclose(answer.sum(-1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="999"):
        zoo.create_model("go_rollout", **{**arguments, "legal_planes": [999]})


def test_a_value_knows_no_mask():
    with pytest.raises((TypeError, ValueError), match="legal_planes"):
        zoo.create_model("go_value", legal_planes=[20])


def test_the_course_sees_one_matrix():
    card = zoo.model_card("go_course")
    assert card.input_shape == (19, 19, 1)
    assert card.value_range == (-1, 1)
    assert card.num_params == conv(5, 1, 192, 192) + 11 * conv(3, 192, 192, 192) + conv(1, 192, 1, 361)


@pytest.mark.parametrize("size", [5, 9, 13, 25])
def test_the_number_of_classes_follows_the_board(size):
    policy = zoo.create_model("go_policy_128", input_shape=(size, size, 48), filters=2, hidden_layers=1)
    assert policy.output_shape == (None, size * size)
    dual = zoo.models.go_zero_19(input_shape=(size, size, 17), filters=2, blocks=1)
    assert dual.output["predictions"].shape == (None, size * size + 1)
    assert dual.output["value"].shape == (None, 1)


def test_biases_are_of_the_points():
    model = zoo.create_model("go_policy_128", input_shape=(5, 5, 48), filters=2, hidden_layers=1)
    layer = model.get_layer("logits")
    layer.bias.assign(np.arange(25.0))
    flat = np.zeros((1, 5, 5, 48), np.float32)
    body = zoo.features(model, ["logits"])(flat)["logits"]
    np.testing.assert_allclose(body[0], np.arange(25), atol=1e-5)


def test_a_mask_inside_gives_illegal_moves_nothing():
    board = Board(5)
    for point in (6, 7, 12, 11):
        board.play(point)
    planes = encoder("alphago48").encode(board)[None].astype("float32")
    keras.utils.set_random_seed(0)
    model = zoo.create_model("go_policy_128", input_shape=(5, 5, 48), filters=4, legal_planes=range(20, 28))
    plain = zoo.create_model("go_policy_128", input_shape=(5, 5, 48), filters=4)
    plain.set_weights(model.get_weights())
    inside, outside = model(planes)[0].numpy(), plain(planes)[0].numpy()
    legal = np.zeros(25, bool)
    legal[board.geometry.points(board.legal())] = True
    assert (inside[~legal] == 0).all()
    np.testing.assert_allclose(inside[legal], outside[legal] / outside[legal].sum(), rtol=1e-5)


def test_masks_keep_their_planes_through_a_file(tmp_path):
    model = zoo.create_model("go_policy_128", input_shape=(5, 5, 48), filters=4, hidden_layers=1, legal_planes=[20, 21])
    model.save(tmp_path / "model.keras")
    planes = np.random.default_rng(0).integers(0, 2, (3, 5, 5, 48)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(planes), model(planes))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "go_policy_128",
            {"classes": 7},
            r"classes must be 361, the points of a board of 19x19, or left",
        ),
        ("go_zero_19", {"classes": 361}, r"classes must be 362, the points and the pass of a board of 19x19"),
        ("go_value", {"classes": 2}, r"A value is one number: classes must be 1, or left out\. Received: classes=2"),
        ("go_policy_128", {"input_shape": (26, 26, 48)}, r"Boards have 5 to 25 rows and columns\. Received: input of"),
        ("go_policy_128", {"hidden_layers": 0}, r"hidden_layers must be at least 1\. Received: hidden_layers=0"),
        ("go_maddison", {"hidden_layers": 0}, r"hidden_layers must be at least 1\. Received: hidden_layers=0"),
        ("go_zero_19", {"blocks": 0}, r"blocks must be at least 1\. Received: blocks=0"),
        ("go_policy_128", {"legal_planes": [48]}, r"legal_planes are numbers of input planes, 0 to 47\. Received"),
        ("go_policy_128", {"input_shape": (None, None, 48)}, r"The head needs a fixed board\. Received a feature map"),
        ("go_leela_6x128", {"variant": "elf"}, "variant must be 'paper' or 'leela'"),
    ],
)
def test_what_no_board_is_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.create_model(name, **arguments)


def test_leelas_batch_norm_has_no_scale():
    model = zoo.create_model("go_leela_6x128", filters=4, blocks=1, input_shape=(5, 5, 18))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 5
    assert not any(norm.scale for norm in norms)


def tied(size=9):
    keras.utils.set_random_seed(3)
    return zoo.create_model("go_clark_storkey", input_shape=(size, size, 8), tied=True)


def test_tied_weights_turn_the_answer_with_the_board(tmp_path):
    model = tied()
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.normal(scale=np.std(variable) or 0.1, size=variable.shape))
    x = rng.integers(0, 2, (2, 9, 9, 8)).astype(np.float32)
    plain = np.array(model(x))
    assert plain.std() > 0.005
    for number in range(8):
        turned = np.array(model(symmetries.transform(x, number).copy()))
        np.testing.assert_allclose(turned[:, symmetries.moves(9)[number, :81]], plain, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x), plain, atol=1e-6)


def test_tied_weights_are_one_for_each_orbit():
    """Taps of 7x7 fall into 10 orbits, of 5x5 into 6; 81 points into 15, pairs of points by Burnside's lemma."""
    fixed = [81, 1, 1, 1, 9, 9, 9, 9]  # points that each symmetry leaves where they are
    points, pairs = sum(fixed) // 8, sum(count**2 for count in fixed) // 8
    assert points == 15
    rows = ((8, 64, 10), (64, 64, 6), (64, 64, 6), (64, 48, 6), (48, 48, 6), (48, 32, 6), (32, 32, 6))
    expected = sum(taps * channels * filters + filters for channels, filters, taps in rows) + pairs * 32 + points
    model = tied()
    assert model.count_params() == expected
    # The same connections, and the same view, as with weights of their own.
    loose = zoo.create_model("go_clark_storkey", input_shape=(9, 9, 8))
    assert zoo.count_macs(model) == zoo.count_macs(loose)
    assert zoo.receptive_field(model, "stride1") == zoo.receptive_field(loose, "stride1")


def test_tied_weights_start_as_wide_as_loose_ones():
    keras.utils.set_random_seed(5)
    model = zoo.create_model("go_clark_storkey", tied=True)
    loose = zoo.create_model("go_clark_storkey")
    for name in ("conv1", "conv4"):
        one, other = (np.array(item.get_layer(name).kernel).std() for item in (model, loose))
        assert one == pytest.approx(other, rel=0.1)
    one = np.array(model.get_layer("logits").weight).std()
    assert one == pytest.approx(np.array(loose.get_layer("logits").kernel).std(), rel=0.05)


def test_tied_weights_learn_every_orbit():
    """A gradient reaches each weight, and a step leaves the symmetry as it is."""
    model = tied(size=5)
    model.compile(keras.optimizers.SGD(1e-4), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(2)
    x = rng.integers(0, 2, (16, 5, 5, 8)).astype(np.float32)
    before = [np.array(item) for item in model.get_weights()]
    model.fit(x, rng.integers(0, 25, 16), epochs=1, verbose=0)
    assert all((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))
    plain, turned = np.array(model(x)), np.array(model(symmetries.transform(x, 5).copy()))
    np.testing.assert_allclose(turned[:, symmetries.moves(5)[5, :25]], plain, atol=1e-5)


def test_tied_weights_need_a_square_board():
    with pytest.raises(ValueError, match=r"tied by symmetry on square boards of known size\. Received shape"):
        zoo.create_model("go_clark_storkey", input_shape=(9, 7, 8), tied=True)

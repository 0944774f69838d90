"""Games as data: shards, splits by game, symmetries of planes and moves together, what `zoo train` gets."""

import contextlib
import json

import numpy as np
import pytest

import zoo
from zoo.data import DataError
from zoo.data.go import (
    BLACK,
    EMBEDDED,
    Board,
    Game,
    draw_board,
    encode_games,
    encoder,
    read_games,
    read_shards,
    split_games,
    symmetries,
    to_sgf,
    write_shards,
)  # fmt: skip


@pytest.fixture(scope="module")
def games():
    return read_games(EMBEDDED["gnugo9"])[0][:24]


@pytest.fixture(scope="module")
def folder(games, tmp_path_factory):
    path = tmp_path_factory.mktemp("games")
    for number, game in enumerate(games):
        (path / f"{number:02d}.sgf").write_text(to_sgf(game), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["matrix", "alphagozero17"])
def test_positions_are_those_of_the_games(games, name):
    positions = encode_games(games[:3], encoder(name))
    at = 0
    for number, game in enumerate(games[:3]):
        for move, (board, colour, point) in enumerate(game.replay()):
            assert np.array_equal(positions.planes(np.array([at]))[0], encoder(name).encode(board))
            assert (positions.moves[at], positions.games[at], positions.numbers[at]) == (point, number, move)
            assert positions.values[at] == (game.winner or 0) * colour
            at += 1
    assert len(positions) == at


def test_shards_hold_the_same_positions(games, tmp_path):
    expected = encode_games(games, encoder("tactical"))
    assert write_shards(games, encoder("tactical"), tmp_path / "shards", games_per_shard=7) == len(expected)
    found = read_shards(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.npz"))) == 4
    for field in ("packed", "moves", "values", "games", "numbers"):
        assert np.array_equal(getattr(found, field), getattr(expected, field)), field
    assert (found.names, found.fingerprints, found.size) == (expected.names, expected.fingerprints, 9)
    one = zoo.data.load(f"go:{tmp_path / 'shards'}")
    assert one.image_shape == (9, 9, 22)
    with pytest.raises(DataError, match=r"holds planes of tactical\. Received: simple"):
        zoo.data.load(f"go:{tmp_path / 'shards'}:simple")
    with pytest.raises(DataError, match="is not empty; shards need a folder of their own"):
        write_shards(games, encoder("simple"), tmp_path / "shards")


def test_damaged_and_foreign_shards_are_refused(games, tmp_path):
    count = write_shards(games[:2], encoder("simple"), tmp_path / "s")
    index = tmp_path / "s" / "index.json"
    text = index.read_text()
    index.write_text(json.dumps({**json.loads(text), "planes_version": 0}))
    with pytest.raises(DataError, match=r"was written by another version: \(1, 0\), this one reads \(1, 2\)"):
        read_shards(tmp_path / "s")
    index.write_text(text)
    shard = tmp_path / "s" / "shard_00000.npz"
    whole = shard.read_bytes()
    for place in range(0, len(whole), 37):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(DataError):  # of a ZIP archive's bytes some mean nothing
            assert len(read_shards(tmp_path / "s")) == count
    shard.write_bytes(whole)
    shard.write_bytes(shard.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read as shards"):
        read_shards(tmp_path / "s")


def test_splits_are_by_game_and_keep_equal_games_together():
    texts = [f"{number % 40:02d}" for number in range(100)]  # forty games, most of them two or three times
    parts = split_games(texts, seed=0)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(100))
    where = {split: {texts[index] for index in part} for split, part in parts.items()}
    assert not where["train"] & where["test"]
    assert not where["train"] & where["validation"]
    assert not where["validation"] & where["test"]
    assert (len(where["test"]), len(where["validation"])) == (7, 3)
    assert not np.array_equal(split_games(texts, seed=1)["test"], parts["test"])


def test_a_folder_of_games_is_a_data_set(folder):
    dataset = zoo.data.load(f"go:{folder}:simple")
    assert dataset.image_shape == (9, 9, 4)
    assert (dataset.classes[0], dataset.classes[80]) == ("A9", "J1")
    games_of = {
        split: {dataset.example_name(split, index).split(",")[0] for index in range(count)}
        for split, count in dataset.num_examples.items()
    }
    assert {split: len(names) for split, names in games_of.items()} == {"train": 18, "validation": 2, "test": 4}
    assert len(set.union(*games_of.values())) == 24
    assert zoo.data.load(f"go:{folder}:simple").fingerprint == dataset.fingerprint
    assert zoo.data.load(f"go:{folder}:history").fingerprint != dataset.fingerprint


@pytest.mark.parametrize("name", ["matrix", "simple"])
def test_pipelines_give_planes_and_moves(folder, name):
    dataset = zoo.data.load(f"go:{folder}:{name}")
    split = dataset.splits["test"]
    pipeline = dataset.pipeline("test", batch_size=50)
    planes, moves = (np.concatenate(part) for part in zip(*pipeline.epoch().as_numpy_iterator(), strict=True))
    np.testing.assert_allclose(planes, split.positions.planes(split.indices), atol=1e-6)
    assert np.array_equal(moves, split.positions.moves[split.indices])
    assert moves.max() < 81  # no passes


def test_training_turns_position_and_move_together(folder):
    dataset = zoo.data.load(f"go:{folder}:history")
    split = dataset.splits["train"]
    known = {}
    for index in split.indices:
        planes = split.positions.planes(np.array([index]))[0]
        for number in range(8):
            key = symmetries.transform(planes, number).tobytes()
            known.setdefault(key, set()).add((number, int(symmetries.moves(9)[number, split.positions.moves[index]])))
    pipeline = dataset.pipeline("train", batch_size=100, training=True, seed=3)
    seen = set()
    for planes, moves in pipeline.epoch(0).as_numpy_iterator():
        for plane, move in zip(planes.astype(np.int8), moves, strict=True):
            numbers = {number for number, where in known[plane.tobytes()] if where == move}
            assert numbers
            if len(known[plane.tobytes()]) == 1:
                seen |= numbers
    assert seen == set(range(8))

    def first(epoch, **options):
        return next(pipeline.epoch(epoch, **options).as_numpy_iterator())[0]

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(0), first(1))
    batches = list(pipeline.epoch(0).as_numpy_iterator())
    assert np.array_equal(first(0, start=2), batches[2][0])
    plain = zoo.data.load(f"go:{folder}:history:plain").pipeline("train", batch_size=10_000, training=True, seed=3)
    ((planes, _),) = plain.epoch(0).as_numpy_iterator()
    originals = {split.positions.planes(np.array([index]))[0].tobytes() for index in split.indices}
    assert {plane.astype(np.int8).tobytes() for plane in planes} == originals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": "shift=1"}, "Positions are turned and mirrored with their moves, and not augmented"),
        ({"repeats": 2}, "no mixing, balance or repeats"),
        (
            {"image_size": (19, 19)},
            r"A board is not resized: expected 9x9 and 4 planes\. Received: image_size",
        ),
        ({"channels": 3}, "A board is not resized"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, r"seed must be from 0 to 2\*\*32 - 1"),
    ],
)
def test_what_boards_do_not_have_is_refused(folder, options, message):
    dataset = zoo.data.load(f"go:{folder}:simple")
    with pytest.raises(DataError, match=message):
        dataset.pipeline("train", training=True, **{"batch_size": 8, **options})


def test_bad_games_are_named_or_counted(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bad.sgf").write_text("(;SZ[9];B[aa];W[aa])")
    with pytest.raises(DataError, match=r"1 of 25 games are bad, such as bad\.sgf: Move 2: .*A9 is occupied"):
        zoo.data.load(f"go:{tmp_path}:simple")
    assert list(zoo.data.load(f"go:{tmp_path}:simple", on_bad="skip").bad_files) == ["bad.sgf"]
    (tmp_path / "large.sgf").write_text("(;SZ[19];B[aa];W[bb])")
    with pytest.raises(DataError, match=r"Games must be on boards of one size\. Received: \[9, 19\]"):
        zoo.data.load(f"go:{tmp_path}:simple", on_bad="skip")
    for wrong, message in (
        ("go:nowhere", "There is no file or folder nowhere"),
        ("go:gnugo9:none", "Encoders are matrix"),
        ("go:gnugo9:simple:fast", r"Games are go:PATH\[:ENCODER\[:plain\]\]"),
    ):
        with pytest.raises(DataError, match=message):
            zoo.data.load(wrong)
    with pytest.raises(DataError, match="Games have no folds"):
        zoo.data.load(f"go:{folder}:simple").fold(0, of=3)


@pytest.mark.parametrize("name", ["matrix", "clark8", "leela18"])
def test_pictures_of_examples_show_the_stones(folder, name):
    dataset = zoo.data.load(f"go:{folder}:{name}")
    planes = next(dataset.pipeline("test", batch_size=12).epoch().as_numpy_iterator())[0][-1]
    picture = dataset.picture_of(planes, dataset.value_range)
    assert (picture.shape, picture.dtype) == ((90, 90, 3), np.uint8)
    item = encoder(name)
    if item.signed:
        own, other = planes[..., 0] > 0.5, planes[..., 0] < -0.5
    else:
        own, other = (planes[..., list(group)].any(axis=-1) for group in item.stones)
    middles = picture[5::10, 5::10].astype(int).sum(axis=-1)
    assert (middles[own] < 150).all()
    assert (middles[other] > 600).all()
    assert own.any()
    assert other.any()


def test_a_board_with_what_a_network_says():
    board = Board(9)
    board.play(40)
    probabilities = np.zeros(82)
    probabilities[[0, 80, 81]] = 0.5, 0.25, 0.25
    picture = np.asarray(draw_board(board.matrix(), probabilities=probabilities, last=40)).astype(int)
    assert picture.shape == (400, 400, 3)
    centre = picture[190:210, 190:210].reshape(-1, 3)
    assert (centre[:, 0] - centre[:, 1] > 100).any()  # the mark on the last stone
    red = (picture[..., 0] - picture[..., 1] > 100) & (picture[..., 1] < 60)
    upper, lower = red[20:60, 20:60].sum(), red[340:380, 340:380].sum()
    assert 1.5 < upper / lower < 2.5  # areas are as the probabilities are
    with pytest.raises(DataError, match=r"There are 81 points\. Received: 5 probabilities"):
        draw_board(board.matrix(), probabilities=np.zeros(5))
    with pytest.raises(DataError, match="A board is square"):
        draw_board(np.zeros((3, 4)))


def test_the_embedded_games_are_gnu_gos():
    games, rejected = read_games(EMBEDDED["gnugo9"])
    assert (len(games), len(rejected), sum(len(game.moves) for game in games)) == (300, 0, 13_125)
    assert {game.black for game in games} == {"gnugo"}
    assert len({game.fingerprint() for game in games}) == 300
    assert all(isinstance(game, Game) and game.moves[0][0] == BLACK for game in games)

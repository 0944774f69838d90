"""Planes and rules against GNU Go, which nobody here wrote; over its own games and random ones.

Where definitions differ: GNU Go's reading of ladders answers 2 or 3 where the result hangs on a ko; those are counted
and left out. Its `accuratelib` counts the liberties of a move also where ko forbids it; only legal moves are compared.
It has no count for "sensibleness" and "turns since"; test_encoders.py holds these.
"""

import random
from pathlib import Path

import pytest

from applications.go.engines import Engine, find_program, gnugo
from zoo.data.go import BLACK, CHINESE, EMBEDDED, Board, Game, Ladders, encoder, read_games, score
from zoo.data.go.encoders import View

pytestmark = pytest.mark.skipif(find_program("gnugo") is None, reason="GNU Go is not installed (Debian: gnugo)")

LETTER = {BLACK: "b", -BLACK: "w"}
GAMES_19 = Path(__file__).with_name("gnugo19.sgf.gz")


@pytest.fixture(scope="module")
def engine():
    with Engine(gnugo()) as running:
        yield running


def random_game(size, seed, num_moves):
    """Moves at random that fill no own eye: full of captures, ko and short liberties."""
    rng = random.Random(seed)
    board = Board(size)
    plane = encoder("alphago48")
    for _ in range(num_moves):
        moves = board.geometry.points(plane.sets(board)[46])
        if not moves:
            break
        board.play(rng.choice(moves))
    return Game(size=size, moves=tuple(board.moves), rules=CHINESE)


def positions(engine, games, every):
    """Boards, set up in GNU Go as well, at every so many moves of the games."""
    for game in games:
        engine.send_all([f"boardsize {game.size}", "clear_board", f"komi {game.komi:g}"])
        for number, (board, colour, point) in enumerate(game.replay()):
            if number % every == 0:
                yield board
            engine.play(board.geometry, colour, point)


def by_move(board, sets):
    """For each point the number of the set that it is in, from 0."""
    return {point: number for number, points in enumerate(sets) for point in board.geometry.points(points)}


class Counts:
    def __init__(self):
        self.positions = self.moves = self.chains = self.captures = self.ladders = self.escapes = self.ko = 0


def compare(engine, board, counts, rng):
    view = View(board, Ladders())
    vertex, colour = board.geometry.vertex, LETTER[board.to_move]
    planes = encoder("alphago48").sets(board)
    names = {vertex(p): p for p in range(board.pass_move)}
    stones, ladder_capture, ladder_escape = planes[:3], planes[44], planes[45]
    liberties, capture, self_atari, after = (by_move(board, planes[i : i + 8]) for i in (12, 20, 28, 36))

    own, opponent = (
        {names[name] for name in answer.split()}
        for answer in engine.send_all([f"list_stones {LETTER[side]}" for side in (board.to_move, -board.to_move)])
    )
    assert own == set(board.geometry.points(stones[0]))
    assert opponent == set(board.geometry.points(stones[1]))
    legal = {names[name] for name in engine.send(f"all_legal {colour}").split()}
    assert legal == set(capture) == set(after)

    chains = list(board.groups)
    heads = [vertex(board.geometry.points(chain.stones)[0]) for chain in chains]
    for chain, count in zip(chains, engine.send_all([f"countlib {head}" for head in heads]), strict=True):
        for point in board.geometry.points(chain.stones):
            assert liberties[point] == min(int(count), 8) - 1
    moves = sorted(legal)
    answers = engine.send_all([f"accuratelib {colour} {vertex(move)}" for move in moves])
    for move, answer in zip(moves, answers, strict=True):
        assert after[move] == min(len(answer.split()) if not answer.isdigit() else int(answer), 8) - 1

    sample = [move for move in moves if capture[move] or move in self_atari]
    sample += rng.sample(moves, min(3, len(moves)))
    (before,) = engine.send_all([f"captures {colour}"])
    for move in sample:
        answers = engine.send_all(
            [f"trymove {colour} {vertex(move)}", f"captures {colour}", f"list_stones {colour}", "popgo"]
        )
        assert capture[move] == min(int(answers[1]) - int(before), 7)
        if move in self_atari:
            mine = {names[name] for name in answers[2].split()}
            size = len(connected(board, move, mine))
            assert self_atari[move] == min(size, 8) - 1
            assert after[move] == 0

    reader = view.ladders
    for chain, head in zip(chains, heads, strict=True):
        count = chain.liberties.bit_count()
        point = board.geometry.points(chain.stones)[0]
        if chain.colour != board.to_move and count == 2:
            code, *rest = engine.send(f"ladder_attack {head}").split()
            found = reader.captures(board, point)
            if code in ("2", "3"):
                counts.ko += 1
                continue
            assert bool(found) == (code == "1"), (str(board), head, code, found)
            if found:
                assert names[rest[0]] in found
                assert ladder_capture & board.geometry.set_of(found)
            counts.ladders += 1
        elif chain.colour == board.to_move and count == 1:
            for move in reader.escapes(board, point):
                if move not in legal:
                    continue
                assert ladder_escape & board.geometry.bits[move]
                answers = engine.send_all([f"trymove {colour} {vertex(move)}", f"countlib {head}"])
                if answers[1] == "2":
                    code = engine.send(f"ladder_attack {head}").split()[0]
                    assert code != "1", (str(board), head)
                    counts.ko += code != "0"
                else:
                    assert int(answers[1]) >= 3
                engine.send("popgo")
                counts.escapes += 1
    counts.positions += 1
    counts.moves += len(moves)
    counts.chains += len(chains)
    counts.captures += len(sample)


def connected(board, point, stones):
    found, waiting = {point}, [point]
    while waiting:
        for other in board.geometry.neighbours[waiting.pop()]:
            if other in stones and other not in found:
                found.add(other)
                waiting.append(other)
    return found


def test_planes_are_those_of_gnu_go(engine):
    counts, rng = Counts(), random.Random(0)
    games, _ = read_games(EMBEDDED["gnugo9"])
    games_19, _ = read_games(GAMES_19)
    for board in positions(engine, [*games[:6], random_game(9, 1, 70), random_game(13, 1, 120)], 7):
        compare(engine, board, counts, rng)
    for board in positions(engine, games_19[:1], 29):
        compare(engine, board, counts, rng)
    assert counts.positions > 60
    assert counts.ladders > 20
    assert counts.escapes > 5


@pytest.mark.slow
def test_planes_of_two_thousand_positions_are_those_of_gnu_go(engine):
    games, _ = read_games(EMBEDDED["gnugo9"])
    games_19, _ = read_games(GAMES_19)
    for size, chosen, every in (
        (9, games[:75] + [random_game(9, seed, 81) for seed in range(15)], 4),
        (19, games_19 + [random_game(19, seed, 300) for seed in range(8)], 4),
    ):
        counts, rng = Counts(), random.Random(1)
        for board in positions(engine, chosen, every):
            compare(engine, board, counts, rng)
        print(size, vars(counts))
        assert counts.positions >= 1000


def test_scores_are_those_of_gnu_go_where_all_dead_stones_are_named(engine):
    games, _ = read_games(EMBEDDED["gnugo9"])
    for game in [game for game in games if not game.result.endswith("R")][:8]:
        board = game.start()
        for colour, point in game.moves:
            board.play(point, colour)
        engine.send_all([f"boardsize {game.size}", "clear_board", f"komi {game.komi:g}"])
        for colour, point in game.moves:
            engine.play(board.geometry, colour, point)
        dead = [board.geometry.point(name) for name in engine.send("final_status_list dead").split()]
        ours = score(board, dead=dead).margin
        assert abs(ours - (-1 if game.result[0] == "W" else 1) * float(game.result[2:])) <= 1

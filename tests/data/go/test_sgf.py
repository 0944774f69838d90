"""SGF in and out, and what is wrong with games that people and programs wrote."""

import gzip
import random
import re

import pytest

from zoo.data import DataError
from zoo.data.go import BLACK, RULES, WHITE, Game, IllegalGameError, SgfError, game_from_nodes, read_games, sgf, to_sgf


def game(text, **options):
    (root,) = sgf.parse(text)
    return game_from_nodes(root.main_line(), **options)


def test_a_tree_goes_through_text_unchanged():
    rng = random.Random(0)

    def tree(depth):
        texts = ["", "a]b", "back\\slash", "line\nend", "größe 囲碁", "colon:x", ")(;"]
        node = sgf.Node(
            {name: rng.choices(texts, k=rng.randint(1, 3)) for name in rng.sample(["C", "AB", "N", "KM"], 2)}
        )
        node.children = [tree(depth - 1) for _ in range(rng.randint(0, 3))] if depth else []
        return node

    def plain(node):
        return node.properties, [plain(child) for child in node.children]

    for _ in range(20):
        roots = [tree(3) for _ in range(rng.randint(1, 3))]
        assert list(map(plain, sgf.parse(sgf.serialise(roots)))) == list(map(plain, roots))


def test_variations_are_kept_and_the_first_is_the_main_line():
    (root,) = sgf.parse("(;SZ[9];B[aa](;W[bb];B[cc])(;W[dd](;B[ee])(;B[ff])))")
    lines = [[node.get("B") or node.get("W") for node in line[1:]] for line in root.lines()]
    assert lines == [["aa", "bb", "cc"], ["aa", "dd", "ee"], ["aa", "dd", "ff"]]
    assert [node.get("B") or node.get("W") for node in root.main_line()] == [None, "aa", "bb", "cc"]


def test_nesting_has_no_limit():
    depth = 100_000
    text = "(;SZ[9]" + "(;C[x]" * depth + ")" * (depth + 1)
    (root,) = sgf.parse(text)
    assert sum(1 for _ in root.main_line()) == depth + 1
    assert sum(1 for _ in sgf.parse(sgf.serialise(root))[0].main_line()) == depth + 1
    assert len(next(root.lines())) == depth + 1


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("(;PB[Müller])".encode("iso-8859-1"), "Müller"),
        ("(;PB[Müller])".encode(), "Müller"),
        ("(;CA[GB2312]PB[聂卫平])".encode("gb2312"), "聂卫平"),
        ("(;CA[Shift_JIS]PB[武宮])".encode("shift_jis"), "武宮"),
        ("\ufeff(;PB[Müller])".encode(), "Müller"),
        ("(;PB[Müller])".encode("utf-16"), "Müller"),
    ],
)
def test_encodings(content, name):
    assert sgf.parse(content)[0].get("PB") == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"There is no game: an SGF file begins with '\(;'\."),
        ("(;B[aa]", r"The file ends within a game: 1 parentheses are not closed\."),
        ("(;B[aa];W[b", r"Property W: its value has no end, line 1, character 9\."),
        ("(;B[aa];C[a]b];W[bb])", r"Property b|Property B: it has no value|Expected a node"),
        ("(;B[aa]\n;W)", r"Property W: it has no value, line 2, character 2\."),
        ("(;B[aa]))", r"A parenthesis too many|Text behind the last game, line 1, character 9"),
        ("(B[aa])", r"Expected a node, a property or a parenthesis, line 1, character 2\. Received: 'B\[aa\]\)'"),
        ("(;B[aa]())", r"A variation without a node, line 1, character 9\."),
        ("(;B[aa]) rest", r"Text behind the last game, line 1, character 10\."),
        (b"(;CA[klingon]PB[x])", r"CA names no encoding that is known\. Received: CA\[klingon\]"),
        (b"(;CA[UTF-8]PB[\xff])", r"The file is not in UTF-8, as it says: byte 14 is none of it\."),
    ],
)
def test_what_is_no_sgf_is_refused_with_the_place(text, message):
    with pytest.raises(SgfError, match=message):
        sgf.parse(text)


KO = ";B[cf];W[df];B[bg];W[eg];B[ch];W[dh];B[dg];W[cg]"


@pytest.mark.parametrize(
    ("text", "move", "reason"),
    [
        (f"(;SZ[9]{KO};B[dg])", 9, "takes the ko back at once"),
        ("(;SZ[9];B[aa];W[aa])", 2, "A9 is occupied"),
        ("(;SZ[9];B[ab];W[cc];B[ba];W[aa])", 4, "A9 is suicide"),
        ("(;SZ[9];B[zz])", 1, "'zz' is no point of a board of 9x9"),
        ("(;SZ[9];B[jj])", 1, "'jj' is no point of a board of 9x9"),
        ("(;SZ[9];B[aa];B[bb])", 2, "black plays twice in a row"),
        ("(;SZ[9];B[aa];AW[bb];W[cc])", 2, "stones are set up in the middle of the game"),
        ("(;SZ[9]AB[aa][aa])", 0, "A point is set up twice"),
        ("(;SZ[9]AB[aa]AW[ab][ba])", 0, "The black chain at A9 would have no liberty"),
        ("(;SZ[9]AB[a])", 0, "'a' is no point"),
        ("(;SZ[60])", 0, r"A board has 2 to 25 rows and as many columns. Received: SZ\[60\]"),
        ("(;SZ[9:13])", 0, r"Received: SZ\[9:13\]"),
        ("(;GM[3];B[aa])", 0, r"It is no game of Go. Received: GM\[3\]"),
        ("(;SZ[9]KM[nan];B[aa])", 0, r"Komi is a number of points. Received: KM\[nan\]"),
        ("(;SZ[9]KM[many];B[aa])", 0, r"Received: KM\[many\]"),
    ],
)
def test_a_game_that_cannot_be_is_rejected_at_its_move(text, move, reason):
    with pytest.raises(IllegalGameError, match=reason) as caught:
        game(text)
    assert caught.value.move == move
    if move > 1:
        assert str(caught.value).startswith(f"Move {move}: ")
        assert len(caught.value.game.moves) == move - 1
        assert game(text, on_illegal="cut") == caught.value.game


def test_superko_is_of_the_rules_that_the_file_names():
    # White sends two stones in the corner, black takes both, white takes one back.
    setup = "(;SZ[5]RU[{}]AB[ad][bd]AW[be][cd][de]PL[W];W[ae];B[ce];W[be])"
    assert len(game(setup.format("Chinese")).moves) == 3
    with pytest.raises(IllegalGameError, match=r"Move 3: .*repeats an earlier position \(positional superko\)"):
        game(setup.format("Tromp-Taylor"))


@pytest.mark.parametrize("first", ["PL[W]", ""])
@pytest.mark.parametrize("rules", ["AGA", "NZ"])
def test_situational_superko_knows_who_moved_in_the_first_position(rules, first):
    # The same moves: the last one brings the first stones back, now with black to move.
    found = game(f"(;SZ[5]RU[{rules}]AB[ad][bd]AW[be][cd][de]{first};W[ae];B[ce];W[be])")
    assert len(found.moves) == 3
    assert found.start().positions[0].to_move == WHITE
    assert [point for _, _, point in found.replay()] == [20, 22, 21]


def test_tt_is_a_pass_up_to_19_and_a_point_beyond():
    assert game("(;SZ[19];B[tt];W[])").moves == ((BLACK, 361), (WHITE, 361))
    assert game("(;SZ[21];B[tt];W[])").moves == ((BLACK, 19 * 21 + 19), (WHITE, 441))


def test_defaults_and_facts_of_a_game():
    plain = game("(;B[aa])")
    assert (plain.size, plain.komi, plain.rules.name, plain.winner) == (19, 0.0, "japanese", None)
    full = game("(;SZ[9]HA[2]KM[0,5]RU[AGA]RE[W+R]PB[a]PW[b]AB[cc][gg];W[ee])")
    assert (full.handicap, full.komi, full.rules, full.winner) == (2, 0.5, RULES["aga"], WHITE)
    assert full.first == WHITE
    assert game("(;SZ[9]RE[0])").winner == 0
    assert game("(;SZ[9]AddBlack[aa:bc])").black_setup == (0, 1, 9, 10, 18, 19)


def test_games_go_through_files(tmp_path):
    games = [
        game("(;SZ[9]KM[6.5]RU[Chinese]RE[B+3.5]PB[x \\] y];B[ee];W[];B[aa])"),
        game("(;SZ[9]HA[2]AB[cc][gg];W[ee];B[ff])"),
    ]
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.sgf").write_text(to_sgf(games), encoding="utf-8")
    (tmp_path / "sub" / "b.sgf.gz").write_bytes(gzip.compress(to_sgf(games[0]).encode()))
    (tmp_path / "bad.sgf").write_text("(;SZ[9];B[aa];W[aa])")
    (tmp_path / "broken.sgf.gz").write_bytes(b"no gzip")
    flipped = bytearray((tmp_path / "sub" / "b.sgf.gz").read_bytes())
    flipped[10] |= 6  # the first byte behind gzip's header: a kind of block that deflate does not have
    (tmp_path / "flipped.sgf.gz").write_bytes(flipped)
    found, rejected = read_games(tmp_path)
    assert found == [*games, games[0]]
    assert [item.name for item in found] == ["a.sgf#1", "a.sgf#2", "sub/b.sgf.gz"]
    assert list(rejected) == ["bad.sgf", "broken.sgf.gz", "flipped.sgf.gz"]
    assert rejected["bad.sgf"].startswith("Move 2: ")
    assert "invalid block type" in rejected["flipped.sgf.gz"]
    cut, rejected = read_games(tmp_path / "bad.sgf", on_illegal="cut")
    assert [len(item.moves) for item in cut] == [1]
    assert rejected == {}
    with pytest.raises(DataError, match="There is no file or folder"):
        read_games(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.sgf file"):
        read_games(tmp_path / "empty")


def test_a_game_turned_or_mirrored_has_the_same_fingerprint():
    rng = random.Random(1)
    points = rng.sample(range(81), 12)
    base = Game(size=9, moves=tuple((1 if i % 2 == 0 else -1, point) for i, point in enumerate(points)))
    turned = Game(size=9, moves=tuple((colour, (point % 9) * 9 + 8 - point // 9) for colour, point in base.moves))
    other = Game(size=9, moves=base.moves[:-1])
    assert base.fingerprint() == turned.fingerprint() != other.fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", base.fingerprint())


def test_a_fingerprint_does_not_depend_on_how_set_up_stones_are_listed():
    texts = ("AB[aa][cc][gb]AW[ee][fh]", "AB[gb][aa][cc]AW[fh][ee]", "AB[aa][cc][bg]AW[ee][hf]")  # the last mirrored
    prints = [game(f"(;SZ[9]{text};B[dd];W[ii])").fingerprint() for text in texts]
    assert prints[0] == prints[1] == prints[2]
    others = ("AB[aa][cc][ee]AW[gb][fh]", "AB[aa][cc][gb]AW[ee]")
    assert all(game(f"(;SZ[9]{text};B[dd];W[ii])").fingerprint() != prints[0] for text in others)
    assert game(f"(;SZ[9]{texts[0]};B[ii];W[dd])").fingerprint() != prints[0]

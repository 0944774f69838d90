"""Text to numbers, and the faults that text files have."""

import json

import keras
import numpy as np
import pytest

import zoo
from zoo.data import DataError
from zoo.data.text import ALPHABET, Encoder, fit_words, make_order_task, read_vectors

SENTENCES = ["The cat sat, the dog did not!", "A dog (big) sat; cats don't.", "the THE the end_of it -- dog"]


def test_words_are_those_of_keras():
    """Keras's layer is the oracle: it needs a TensorFlow graph, ours is plain JSON that a run keeps."""
    layer = keras.layers.TextVectorization(output_sequence_length=8)
    layer.adapt(SENTENCES)
    ours = fit_words(SENTENCES, max_words=100, max_length=8)
    theirs = layer.get_vocabulary()
    assert sorted(ours.symbols) == sorted(theirs)
    moved = {place: theirs.index(symbol) for place, symbol in enumerate(ours.symbols)}
    expected = layer(np.array([*SENTENCES, "unknown dog"])).numpy()[:, : ours.length]
    actual = np.vectorize(moved.get)(ours.encode_all([*SENTENCES, "unknown dog"]))
    np.testing.assert_array_equal(actual, expected)


def test_the_vocabulary_is_cut_at_the_rarest_and_lengths_at_the_end():
    encoder = fit_words(["b b a c", "b a d"], max_words=4, max_length=3)
    assert encoder.symbols == ("", "[UNK]", "b", "a")
    assert encoder.encode("a b c d").tolist() == [3, 2, 1]
    assert encoder.decode(encoder.encode("a c")) == "a [UNK]"
    assert Encoder.from_form(json.loads(json.dumps(encoder.form))) == encoder
    with pytest.raises(DataError, match="There is no word in any of 2 texts"):
        fit_words(["!", " "], max_words=4, max_length=3)


def test_characters_are_those_of_the_paper():
    assert len(set(ALPHABET)) == len(ALPHABET) == 70
    encoder = Encoder("characters", tuple(ALPHABET), 6)
    assert encoder.encode("Ab\N{SNOWMAN}z").tolist() == [1, 2, 0, 26, 0, 0]
    assert encoder.decode(encoder.encode("Abz")) == "abz"


@pytest.mark.parametrize(
    "text", ["\N{FAMILY}\N{ZERO WIDTH JOINER}\N{BOY}", "\u05d0\u05d1\u05d2", "x" * 10_000_000, "", "\n\n"]
)
def test_any_text_has_numbers(text):
    for encoder in (Encoder("words", ("", "[UNK]", "a"), 5), Encoder("characters", tuple(ALPHABET), 5)):
        numbers = encoder.encode(text)
        assert numbers.shape == (5,)
        assert 0 <= numbers.min() <= numbers.max() < 71


def write(path, content):
    path.write_bytes(content)
    return f"text:{path}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\nok,a\ncaf\xe9,b\n", r":3: this is not UTF-8 \(byte 0xe9\)"),
        ("text,label\nok,a\n".encode("utf-16"), ":1: this is UTF-16; save it as UTF-8"),
        (b"text,label\nok,a\nb\0d,b\n", ":3: there is a NUL character; this is no text"),
        (b"text,label\nok,a\n ,b\n", ":3: the text is empty or missing"),
        (b"text,label\nok,a\nno label,\n", ":3: the label is empty or missing"),
        (b"words,label\nok,a\n", ":1: expected the columns text and label. Missing: text"),
        (b"text,label,split\nok,a,tain\n", ":2: the split must be train, validation or test. Received: tain"),
        (b"text,label\nok,a\nok,a\n", "has 1 classes; classifying needs two"),
        (b'text,label\n"open,a\n', "unexpected end of data"),
        (b"label,text\npos,fine\nneg,bad, really bad\n", r":3: expected 2 cells, one for each column\. Received: 3"),
        (b"text,label\nbad, really,neg\nfine,pos\n", ":2: .* Received: 3. Put texts with commas into quotes"),
    ],
)
def test_faults_of_tables_are_named_with_their_line(tmp_path, content, message):
    with pytest.raises(DataError, match=r"a\.csv.*" + message):
        zoo.data.load(write(tmp_path / "a.csv", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a", "label": 1}\n{"text": \n', ":2: this is no JSON"),
        (b'{"text": "a", "label": 1}\n\n[1]\n', ":3: expected an object with text and label. Received: list"),
        (b'{"text": "a", "label": [1]}\n', ":1: the label is empty or missing"),
        (b'{"text": "a", "label": 1, "split": "train"}\n{"text": "a", "label": 2}\n', "either all rows have a split"),
    ],
)
def test_faults_of_json_lines_are_named_with_their_line(tmp_path, content, message):
    with pytest.raises(DataError, match=r"a\.jsonl.*" + message):
        zoo.data.load(write(tmp_path / "a.jsonl", content))


def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path):
    rows = "".join(f"{'good' if i % 2 else 'bad'} {i},{i % 2}\r\n" for i in range(40))
    dataset = zoo.data.load(write(tmp_path / "a.csv", b"\xef\xbb\xbf" + b"text,label\r\n" + rows.encode()))
    assert sum(dataset.num_examples.values()) == 40
    assert dataset.classes == ("0", "1")


def test_a_folder_of_class_folders_and_its_faults(tmp_path):
    for label in ("spam", "ham"):
        for index in range(20):
            path = tmp_path / label / f"{index}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{label} {index}")
    dataset = zoo.data.load(f"text:{tmp_path}").for_model("text", (56,))
    assert dataset.classes == ("ham", "spam")
    assert dataset.image_shape == (2,)
    (tmp_path / "spam" / "3.txt").write_bytes(b"ok\n\xff")
    with pytest.raises(DataError, match=r"spam/3\.txt:2: this is not UTF-8"):
        zoo.data.load(f"text:{tmp_path}")
    with pytest.raises(DataError, match=r"Text is a \.csv or \.jsonl file, a folder of class folders, or order"):
        zoo.data.load(f"text:{tmp_path / 'nothing.xyz'}")


def test_a_folder_with_folders_for_its_splits(tmp_path):
    (tmp_path / "README").write_text("A corpus comes with files beside its splits.")
    folders = [f"{split}/{label}" for split in ("train", "test") for label in ("neg", "pos")]
    for place in (f"{folder}/{index}.txt" for folder in folders for index in range(9)):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(place)
    dataset = zoo.data.load(f"text:{tmp_path}")
    assert dataset.classes == ("neg", "pos")
    assert {split: {name.split("/")[0] for name in part.names} for split, part in dataset.splits.items()} == {
        "train": {"train"}, "validation": {"train"}, "test": {"test"}}  # fmt: skip
    assert dataset.num_examples["test"] == 18
    (tmp_path / "train" / "unsup").mkdir()
    with pytest.raises(DataError, match=r"the classes of test are not those of train: unsup"):
        zoo.data.load(f"text:{tmp_path}")


def test_the_vocabulary_is_of_the_training_texts_alone(tmp_path):
    lines = [{"text": f"{split} word", "label": i % 2, "split": split} for split in ("train", "validation", "test")
             for i in range(4)]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    dataset = zoo.data.load(f"text:{tmp_path / 'a.jsonl'}").for_model("text", (56,))
    assert dataset.form["symbols"] == ["", "[UNK]", "train", "word"]
    assert dataset.model_arguments == {"vocabulary": 4}
    np.testing.assert_array_equal(dataset.splits["test"].values[0], [1, 3])


def test_partners_of_the_order_task_are_in_one_split():
    bags = [
        {" ".join(sorted(text.split())) for text in split.values}
        for split in zoo.data.load("text:order").splits.values()
    ]
    assert not bags[0] & bags[1] | bags[0] & bags[2] | bags[1] & bags[2]


def test_the_order_task_has_the_same_words_in_both_classes():
    texts, labels = make_order_task(200, seed=0)
    assert labels == [0, 1] * 100
    for first, second in zip(texts[::2], texts[1::2], strict=True):
        assert sorted(first.split()) == sorted(second.split())
        assert "not good" in first
        assert "not bad" in second
        assert first != second
        assert len(first.split()) == 12


def test_vectors_come_from_a_file(tmp_path):
    path = tmp_path / "a.vec"
    path.write_text("3 2\nno 1 2\ndog 3 4\nof 5 6\n")
    vectors, found = read_vectors(path, ("", "[UNK]", "dog", "cat"))
    assert found == 1
    np.testing.assert_array_equal(vectors[[0, 2]], [[0, 0], [3, 4]])
    assert np.abs(vectors[3]).max() <= 0.25
    model = zoo.create_model("kim_cnn_static", vocabulary=4, dimensions=2, input_shape=(5,))
    model.get_layer("embedding").set_weights([vectors])
    for content, message in [
        (b"a 1 2\nb 1\n", ":2: expected 2 numbers. Received: 1"),
        (b"", "holds no vectors"),
        (b"dog 1 x\n", ":1: expected numbers behind the word"),
        (b"a 1 2\n\xff 1 2\n", ":2: expected a word"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_vectors(path, ("", "[UNK]", "dog"))

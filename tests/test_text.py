"""The character language model's windows: shown, asked, never shared."""

from pathlib import Path

import numpy as np
import pytest

from vanishing.errors import UserError
from vanishing.parts.text import EMBEDDED, text


@pytest.fixture
def file(tmp_path):
    def written(content):
        path = tmp_path / "a.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def spelled(tokens, alphabet):
    return "".join(alphabet[token] for token in tokens)


def test_windows_are_pieces_of_the_text_and_the_label_is_the_next_character(file):
    content = "".join(chr(97 + (i * i + i // 7) % 26) for i in range(700))
    data, alphabet = text(file(content), length=9), sorted(set(content))
    assert data.inputs.shape == data.labels.shape == (70, 9)
    assert data.sequence == (9, len(alphabet))
    starts = []
    for shown, asked in zip(data.inputs, data.labels, strict=True):
        window = spelled([*shown, asked[-1]], alphabet)
        assert spelled(asked, alphabet) == window[1:]
        starts.append([10 * k for k in range(70) if content[10 * k : 10 * k + 10] == window])
    assert all(starts)


def test_no_two_windows_share_a_character(file):
    content = "".join(map(chr, range(0x4E00, 0x4E00 + 90)))  # each character once
    data = text(file(content), length=8)
    whole = np.concatenate([data.inputs, data.labels[:, -1:]], 1)
    assert np.unique(whole).size == whole.size == 90


def test_few_samples_are_drawn_from_the_whole_text(file):
    content = "a" * 5000 + "b" * 5000
    data = text(file(content), length=9, samples=100)
    assert data.inputs.shape == (100, 9)
    assert 0.3 < data.inputs.mean() < 0.7
    assert data.inputs.tobytes() == text(file(content), length=9, samples=100).inputs.tobytes()


def test_rare_characters_are_one_token_the_last(file):
    frequent = "".join(map(chr, range(0x100, 0x160))) * 3  # 96 of them
    data = text(file(frequent + "xyz" + frequent), length=4)
    assert data.vocabulary == 97
    assert (data.inputs == 96).sum() + (data.labels[:, -1] == 96).sum() == 3
    assert text(file(frequent), length=4).vocabulary == 96


def test_the_embedded_text_is_prose_of_some_kilobytes_and_makes_a_task():
    content = EMBEDDED.read_text(encoding="ascii")
    assert 4000 <= len(content) <= 6000
    data = text()
    assert len(data.labels) == len(content) // 33
    alphabet = sorted(set(content))
    assert spelled(data.inputs[0], alphabet) in content
    assert data.outputs == data.vocabulary == len(alphabet)


def test_real_text_is_read():
    path = Path(__file__).parents[2] / "shared/data/tinyshakespeare/input.txt"
    if not path.is_file():
        pytest.skip(f"the text is not at {path}")
    data = text(str(path), length=50)
    content = path.read_text()
    assert data.inputs.shape == (4000, 50)
    assert data.vocabulary == len(set(content)) == 65
    assert spelled(data.inputs[123], sorted(set(content))) in content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n" * 100, "is not text in UTF-8"),
        (b"ab\0c" * 100, "holds a zero byte"),
        ("too short", "holds 9 characters, which is 0 windows of 33: give a text of 330 or more"),
        ("", "holds 0 characters"),
    ],
)
def test_files_that_make_no_task_are_refused(file, content, message):
    with pytest.raises(UserError, match=message):
        text(file(content))


def test_a_text_that_is_not_there_and_settings_out_of_range_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt cannot be read: No such file"):
        text(str(tmp_path / "none.txt"))
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        text(str(tmp_path))
    with pytest.raises(UserError, match="length of text must be 1 or more, and 0 came"):
        text(length=0)
    with pytest.raises(UserError, match="samples of text must be 10 or more"):
        text(samples=3)


def test_line_ends_of_every_system_and_a_byte_order_mark_give_the_same_tokens(file):
    lines = [f"line {n} of many" for n in range(60)]
    plain = text(file("\n".join(lines)), length=9)
    other = text(file(b"\xef\xbb\xbf" + "\r\n".join(lines).encode()), length=9)
    np.testing.assert_array_equal(plain.inputs, other.inputs)


def test_a_text_of_one_character_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 2000)
    with pytest.raises(UserError, match="holds one character only"):
        text(str(tmp_path / "a.txt"), length=8)

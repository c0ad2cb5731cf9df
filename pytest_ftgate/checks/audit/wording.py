"""Find what a row says behind the text that many rows share: an instruction, a template, a header, a signature.

Shared text makes different rows look alike and hides equal ones. The longest common starts and ends are removed before
rows are compared, as data-juicer and text-dedup do with headers and boilerplate. A start is shared if it is a common
prefix of ``need`` consecutive texts in sorted order, which finds all of them in one pass; ends likewise, reversed.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import islice
from urllib.parse import unquote_plus

from pytest_ftgate.data import Input, normalized_input, without_instructions
from pytest_ftgate.text import excerpt

SHINGLE = 4
"""Characters of a shingle, a run of consecutive characters."""
SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese and Japanese: each sign is about a word."""
_PUNCTUATION = ".,;:!?'\"…“”‘’„«»¿¡。、，！？；：؟،।_*`~"  # punctuation, and emphasis of Markdown
TOKEN = re.compile(rf"[^\W_{SIGNS}]+|[^\s{_PUNCTUATION}]")
_EXCERPT = 40  # characters
_CONTEXT = 2  # words before the difference

_SAMPLE = 2_000
_LEAST = 10
"""The fewest rows that must contain a text before it counts as shared."""
_INSTRUCTION_WORDS = 15
"""Words of shared text that is certainly an instruction, so that a single word behind it may be all that a row says."""
_LONG_CHARACTERS, _LONG_WORDS = 30, 5

SUBSTANTIAL, SUBSTANTIAL_MASKED = 3, 4
"""Words that say enough to be compared by themselves, and those without ids, long numbers and dates."""
MASK = "¤"
"""What stands for an id, a long number or a date."""
MARKS = (":", ".", "?", "!", ">", "]", "}", "-", "=", "#", '"', "|", "(", ")")
_WORD = re.compile(rf"[{SIGNS}] ?[{SIGNS}]|[^\W\d_{SIGNS}]{{2,}}")
_ESCAPE = re.compile(
    r"\\+(?:u[0-9a-f]{4}(?:\\+u[0-9a-f]{4})*|[nrt])?"  # JSON, however deep
    r"|&(?:#\d+|#x[0-9a-f]+|[a-z]+);"  # HTML
    r"|(?<=[^\W\d])\+(?=\w)|(?<=\w)\+(?=[^\W\d])"  # forms
)
_QUOTED = re.compile(r"%[0-9a-f]{2}")
_DEPTH = 3
"""How often escapes are undone: in HTML within HTML twice."""
_CODE = re.compile(r"u([0-9a-f]{4})")
_DIGIT = re.compile(r"[\d#]")
_NUMBERED = re.compile(r"(?<!\S)[^\s\d#]*[\d#]\S*")
_DATED = re.compile(r"\b\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})?\b")
_VARIABLE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}(?:t\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:z|[+-]\d{2}:?\d{2})?)?\b"  # dates and times
    r"|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b"  # UUIDs
    r"|#\w+"  # ticket numbers
    r"|\b(?=(?:[\w-]*\d){3})(?![\w-]*[^\W\d_]{5})[\w-]{4,}\b"  # other ids: at least three digits, and no whole word
)


def contents(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return what each plain text says without the start and end that many share, for equal rows and for similar ones.

    The whole text if what is left says too little: no word; for similar rows, fewer than three words, unless they
    stand behind an instruction or a mark such as ``question:``.
    """
    sample = [masked(text) for text in texts[:: -(-len(texts) // _SAMPLE) or 1]]
    starts = _distinct(_common_starts(sample))
    ends = [end[::-1] for end in _distinct(_common_starts([text[::-1] for text in sample], reverse=True))]
    return [_content(text, starts, ends) for text in texts]


def _content(text: str, starts: Sequence[str], ends: Sequence[str]) -> tuple[str, str]:
    form = masked(text) if starts or ends else text
    start = next((one for one in starts if form.startswith(one)), "")
    end = next((one for one in ends if form.endswith(one) and len(one) <= len(form) - len(start)), "")
    content = text[len(start) : len(text) - len(end)].strip()
    if form != text:  # a mask replaces whole words
        words = text.split(" ")
        content = " ".join(words[len(start.split()) : len(words) - len(end.split())])
    if not (start or end) or not says(content, 1):
        return text, text
    framed = all(not one or _is_marked(one) for one in (start, end))
    framed = framed or len(start.split()) + len(end.split()) >= _INSTRUCTION_WORDS
    return content, content if framed or says(content, SUBSTANTIAL) else text


def _distinct(starts: Iterable[str]) -> list[str]:
    """Return starts, longest first, without those that only add a few words of content to a shorter one."""
    kept: list[str] = []
    for start in sorted(starts, key=len):
        if all(is_long(start[len(one) :]) for one in kept if start.startswith(one)):
            kept.append(start)
    return kept[::-1]


def _common_starts(texts: Sequence[str], *, reverse: bool = False) -> set[str]:
    """Return the starts that enough of the texts share; ``reverse``: the texts are written backwards.

    A tenth of them for an instruction, three tenths for another long text, half for one with a mark.
    """
    ordered, found = sorted(texts), set[str]()
    for share, words, least in ((0.1, _INSTRUCTION_WORDS, 29), (0.3, _LONG_WORDS, 29), (0.5, 0, 1)):
        need = max(_LEAST, int(share * len(ordered)))
        pairs = {*zip(ordered, ordered[need - 1 :], strict=False)}
        for first, last in (pair for pair in pairs if pair[0][:least] == pair[1][:least]):  # most share nothing
            start = os.path.commonprefix([first, last])  # noqa: RUF071  # of texts: no paths
            if len(start) != len(first) and first[len(start)] != " " and not start.endswith(" "):
                start = start[: start.rfind(" ") + 1]  # whole words
            text = start[::-1] if reverse else start
            if len(text.split()) >= words and (is_long(text) if words else _is_marked(text)):
                found.add(start)
    return found


def is_long(text: str) -> bool:
    """Return whether a text is a frame even where no mark separates it from what it stands around."""
    return len(text) >= _LONG_CHARACTERS and len(text.split()) >= _LONG_WORDS


def _is_marked(text: str) -> bool:
    """Return whether a text has a word and a mark, such as ``question:``; the full stop of a sentence has none."""
    marked = text.rstrip().endswith(MARKS) or text.lstrip().startswith(MARKS)
    return marked and any(map(str.isalnum, text))


def says(text: str, least: int) -> bool:
    """Return whether a text has at least so many words with letters."""
    return len([*islice(_WORD.finditer(text), least)]) >= least


def masked(text: str) -> str:
    """Return a normalised text with ``MASK`` in place of each id, long number and date; it has as many words."""
    if not _DIGIT.search(text):
        return text
    return _NUMBERED.sub(lambda word: _VARIABLE.sub(MASK, word[0]), _DATED.sub(f"{MASK} {MASK}", text))


def plain_text(given: Input) -> str:
    """Return an input as it is compared: normalised, without instructions, and without JSON, HTML and URL escapes."""
    return unescaped(normalized_input(without_instructions(given)))


def unescaped(text: str) -> str:
    """Return a normalised text without JSON, HTML and URL escapes."""
    for _ in range(_DEPTH):
        if not any(sign in text for sign in "\\&%+"):
            break
        words = (unquote_plus(word) if _QUOTED.search(word) else word for word in text.split(" "))
        meant = _ESCAPE.sub(_meant, " ".join(words) if "%" in text else text)
        if meant == text:
            break
        lines = (line.split("\t") for line in meant.split("\n"))  # which end and begin the messages of a conversation
        text = "\n".join("\t".join(map(normalized_input, parts)) for parts in lines)
    return text


def _meant(escape: re.Match[str]) -> str:
    """Return what an escape stands for, without tabs and line feeds."""
    written = escape[0]
    if written[0] == "&":
        meant = unescape(written)
    elif written == "+":
        meant = " "
    elif codes := _CODE.findall(written):
        meant = bytes.fromhex("".join(codes)).decode("utf-16-be", "replace")
    else:
        meant = " " if written[-1] in "nrt" else ""
    return meant.replace("\n", " ").replace("\t", " ")


@dataclass(frozen=True, slots=True)
class Wording:
    """A row as it is compared: the words of its input, the numbers among them, and its output."""

    words: str
    numbers: str
    output: str

    @classmethod
    def of(cls, content: str, output: str) -> "Wording":
        """Return the form of a row with this normalised input and this output."""
        words = words_of(content)
        numbers = sorted(word for word in words.split() if not word.isalpha() and re.search(r"\d", word))
        return cls(words, " ".join(numbers), output)


def words_of(text: str) -> str:
    """Return the words and signs of a normalised text, separated by single spaces, without punctuation."""
    return " ".join(TOKEN.findall(text))


def shingles(words: str) -> frozenset[str]:
    """Return all runs of ``SHINGLE`` characters; they cross words, so that languages without spaces have them too."""
    return frozenset(words[at : at + SHINGLE] for at in range(max(len(words) - SHINGLE, 0) + 1))


def resemblance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of common shingles, from 0 to 1: Broder's resemblance, also called the Jaccard index.

    Source: A. Broder, On the resemblance and containment of documents (1997).
    """
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def shared_start(texts: Sequence[str]) -> int:
    """Return where an excerpt begins that shows what differs: after the shared start, without its last words."""
    shared = os.path.commonprefix([min(texts), max(texts)])  # noqa: RUF071  # of texts: no paths
    words = shared.split(" ")
    return max(sum(len(word) + 1 for word in words[: -1 - _CONTEXT]), len(shared) - _EXCERPT // 2)


def differing(one: Input, other: Input) -> tuple[str, str]:
    """Return two inputs; long ones as excerpts from where the two differ."""
    texts = [normalized_input(given).strip() for given in (one, other)]
    first, second = (excerpt_from(text, shared_start(texts)) for text in texts)
    return first, second


def excerpt_from(text: str, start: int) -> str:
    """Return a short text, or an excerpt of a longer one from ``start``."""
    return text if len(text) <= _EXCERPT or not text[start:] else "..." + excerpt(text[start:], width=_EXCERPT)

"""Compare texts by their words, without the template that nine in ten rows of their set have."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from html import unescape
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import unquote

from pytest_ftgate.data import (
    DataSet,
    Input,
    expected_text,
    normalized_input,
    without_instructions,
)

LONG_WORDS, LONG_SIGNS = 8, 12
"""Words, or signs of a script without spaces, of a text that nobody writes again by chance."""
MASK = "¤"
"""What stands for a word with a digit where such words are equal."""
COUNTING = 0.25
"""From how many times the differing outputs of any two rows on numbers tell outputs apart."""

SIGNS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese, Japanese
)
# of any script, and combining marks: whatever is neither a space nor a symbol nor one of the signs
_LETTER = (
    r"[^\s\x00-/:-@\[-`{-\u00bf\u00d7\u00f7\u05be\u060c\u061b\u061f\u06d4\u0964\u0965"
    rf"\u2000-\u2bff\u2e00-\u2e7f\u3000-\u303f\U0001f000-\U0001faff{SIGNS}]"
)
_PUNCTUATION = ".,;:!?'\"…“”‘’„«»¿¡。、，！？；：؟،।_*`~"  # and the emphasis of Markdown
_TOKEN = re.compile(
    # a word; an id, a date or a time is one word, and a sign is part of its number
    rf"(?:(?<!{_LETTER})[-+\u2212](?=\.?\d)\.?)?{_LETTER}+(?:[-./:](?={_LETTER}*\d){_LETTER}+)*"
    # a symbol, or a sign; no hyphen within words
    rf"|(?!(?<={_LETTER})-(?={_LETTER}))[^\s{_PUNCTUATION}]"
)
_SIGN = re.compile(f"[{SIGNS}]")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"(?<![^ ])[^ \d]*\d[^ ]*")  # a word with a digit

MOST = 0.9
"""The share of rows, nine in ten, from which on what they have in common is their template."""
_FEWEST, SAMPLE = 10, 2_000
"""Rows of which a template can be told, and rows that tell what is frequent in all of them."""

_NUMBERED = re.compile(
    r"^\W*(?:[^\W\d]+ )?\d+(?:/\d+)?[.:)\]](?!\d) ?"  # "Example 2: ", "2. ", "[2/4] "
    r"|^#\d+ | ?#\d+$| v\d+$"
    r"| ?[(\[](?:[^\W\d]+ )?\d+(?:/\d+)?[)\]]$"  # "(variant 2)"
)
_TAG = re.compile(r"</?[a-z][a-z0-9]*(?: [^<>]*)?/?>")
_ESCAPE = re.compile(
    r"\\+(?:u[0-9a-f]{4}(?:\\+u[0-9a-f]{4})*|[nrt])?"  # JSON, however deep
    r"|&(?:#\d+|#x[0-9a-f]+|[a-z]+);"  # HTML
    r"|(?<=[^\W\d])\+(?=\w)|(?<=\w)\+(?=[^\W\d])"  # forms
)
_CODE = re.compile(r"u([0-9a-f]{4})")
_DEPTH = 3
"""How often escapes are undone: in HTML within HTML twice."""


# --- texts as they are compared -------------------------------------------------------------------


def plain_text(conversation: Input) -> str:
    """Return an input as it is compared: normalised, without instructions, escapes and tags."""
    return unescaped(normalized_input(without_instructions(conversation)))


def unescaped(text: str) -> str:
    """Return a normalised text without HTML tags and the escapes of JSON, HTML and URLs."""
    # each turn undoes one level of escapes, such as HTML within JSON
    for _ in range(_DEPTH):
        if not any(sign in text for sign in "\\&%+"):
            break
        meant = _ESCAPE.sub(_meant, unquote(text))
        if meant == text:
            break
        text = _normalized_again(meant)

    if "<" not in text:
        return text
    bare = _TAG.sub(" ", text)
    return text if bare.isspace() else bare  # tags may be all that a row says


def _normalized_again(text: str) -> str:
    """Return a text with each part normalised; line feeds and tabs divide messages."""
    lines = []
    for line in text.split("\n"):
        lines.append("\t".join(map(normalized_input, line.split("\t"))))
    return "\n".join(lines)


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


def outputs_of(data: DataSet) -> list[str]:
    """Return the expected outputs as stripped text, the form in which they are compared.

    One that is not known is blank.
    """
    return [output or "" for output in known_outputs_of(data)]


def known_outputs_of(data: DataSet) -> list[str | None]:
    """Return the same, and None for an output that is not known."""
    outputs: list[str | None] = []
    for example in data:
        is_known = example.expected is not None
        outputs.append(expected_text(example.expected).strip() if is_known else None)
    return outputs


def words_of(text: str) -> str:
    """Return the words and symbols of a normalised text, without punctuation."""
    if text.isascii() and text.replace(" ", "").isalnum():
        return " ".join(text.split())  # many texts are words alone, and need no search
    return " ".join(_TOKEN.findall(text))


def all_words_of(plain: str) -> str:
    """Return the words of a plain text; punctuation alone is one word."""
    return words_of(plain) or plain.replace(" ", "")


def masked(words: str) -> str:
    """Return words with ``MASK`` in place of each one that has a digit."""
    if not _DIGIT.search(words):
        return words
    return _NUMBER.sub(MASK, words)


def unmasked(words: str) -> str:
    """Return the words as they are: the form of a text whose numbers count."""
    return words


Mask = Callable[[str], str]
"""What makes the form in which words are equal: ``masked``, or ``unmasked`` where numbers count."""


def mask_for(words: Sequence[str], outputs: Sequence[str | None]) -> Mask:
    """Return how to compare rows with these words and outputs, all rows of both sets.

    Numbers count where a row and another one that differs in numbers alone have different outputs
    at least a quarter as often as any two rows: then another number is another row.
    """
    alike = defaultdict(list)
    known = [output for output in outputs if output is not None]
    for text, output in zip(words, outputs, strict=True):
        if output is None:
            continue
        form = masked(text)
        if form != text:
            alike[form].append((text, output))

    n_rows = 0
    n_differing = 0.0
    for rows in alike.values():
        # most texts have no other row, and need no count
        n_pairs = 0
        if len(rows) > 1:
            n_pairs = _pairs(len(rows)) - _equal_pairs(text for text, _ in rows)
        if n_pairs:
            n_alike = _equal_pairs(output for _, output in rows) - _equal_pairs(rows)
            n_rows += len(rows)
            # each row counts once: the pairs of a few frequent texts would outweigh all others
            n_differing += len(rows) * (1 - n_alike / n_pairs)
    if n_rows == 0:
        return masked

    share_of_any = 1 - _equal_pairs(known) / _pairs(len(known))
    return unmasked if n_differing >= COUNTING * share_of_any * n_rows else masked


def _pairs(count: int) -> int:
    """Return the number of pairs of so many items."""
    return count * (count - 1) // 2


def _equal_pairs(items: Iterable[Hashable]) -> int:
    """Return the number of pairs of equal items."""
    return sum(map(_pairs, Counter(items).values()))


def numbers_in(words: str) -> list[str]:
    """Return the words with a digit."""
    return _NUMBER.findall(words) if _DIGIT.search(words) else []


def is_long(words: str) -> bool:
    """Return whether a text has ``LONG_WORDS`` words, or ``LONG_SIGNS`` signs."""
    if words.count(" ") + 1 < LONG_WORDS:
        return False
    if words.isascii() and words.replace(" ", "").isalnum():
        return True

    # a sign of a script without spaces is a token, but less than a word
    signs = len(_SIGN.findall(words))
    n_words = -signs
    for token in words.split(" "):
        n_words += token[-1].isalnum() or len(token) > 1
    return n_words / LONG_WORDS + signs / LONG_SIGNS >= 1


# --- templates ------------------------------------------------------------------------------------


class Text(NamedTuple):
    """The words of an input as they are compared.

    Attributes:
        whole: all of them.
        masked: the same, with ``MASK`` in place of each word with a digit where numbers do not
            count.
        words: those without the template.
        exact: the same, and the words with a digit that are part of the template.
        form: the same as ``words``, in a long text as ``masked``.
        is_long: whether they are enough to be looked for in other texts.
    """

    whole: str
    masked: str
    words: str
    exact: str
    form: str
    is_long: bool

    @classmethod
    def of(cls, whole: str, masked: str, words: str, exact: str, form: str) -> "Text":
        """Return a text; ``form`` is what is masked of ``words``."""
        long = is_long(words)
        return cls(whole, masked, words, exact, form if long else words, long)

    @property
    def is_masked(self) -> bool:
        """Return whether a word has a digit that does not count."""
        return self.masked != self.whole


class Template(NamedTuple):
    """What nine in ten rows begin and end with, word for word, in the form in which they compare.

    So numbers that count are no part of it, unless nine in ten rows have the same one.
    """

    start: Sequence[str]
    end: Sequence[str]
    mask: Mask

    @classmethod
    def of(cls, words: Sequence[str], mask: Mask) -> "Template":
        """Return the template of a set with these words."""
        # a sample tells what nine in ten rows have
        step = -(-len(words) // SAMPLE) or 1
        rows = [mask(text).split(" ") for text in words[::step]]
        start = shared_start(rows)
        end = shared_start([row[::-1] for row in rows])
        return cls(start, end[::-1], mask)

    def text(self, whole: str) -> Text:
        """Return words without the template; all of them where no letter would be left."""
        form = self.mask(whole)
        if not self.start and not self.end:
            return Text.of(whole, form, whole, whole, form)

        words = whole.split(" ")
        forms = form.split(" ")
        first = len(self.start) if forms[: len(self.start)] == self.start else 0
        last = len(words) - len(self.end)
        if forms[max(last, 0) :] != self.end:
            last = len(words)
        # otherwise the template would be all that the rows say
        if not any(map(str.isalpha, " ".join(words[first:last]))):
            first = 0
            last = len(words)

        content = " ".join(words[first:last])
        template = " ".join(words[:first] + words[last:])
        exact = " ".join([*numbers_in(template), content])
        return Text.of(whole, form, content, exact, " ".join(forms[first:last]))

    def distinct(self, plain: str, text: Text) -> str:
        """Return what makes a row distinct: its text without template and number at either end.

        A number that counts stays. So does another number within the template, which is content:
        ``cancel order number 7 today``.
        """
        if text.is_masked:
            # a number alone stays, since nothing else tells such rows apart
            plain = _NUMBERED.sub("", plain) or plain
            text = self.text(all_words_of(plain))
        return text.exact if self.start or self.end else plain


def texts_of(words: Sequence[str], mask: Mask) -> list[Text]:
    """Return each of the texts of a set with these words as it is compared."""
    template = Template.of(words, mask)
    return [template.text(text) for text in words]


def shared_start(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the words that nine in ten rows begin with; none if there are too few rows."""
    start: list[str] = []
    needed = max(_FEWEST, MOST * len(rows))
    while True:
        position = len(start)
        longer = [row for row in rows if len(row) > position]
        following = Counter(map(itemgetter(position), longer))
        word, count = max(following.items(), key=itemgetter(1), default=("", 0))
        if count < needed:
            return start
        rows = [row for row in longer if row[position] == word]
        start.append(word)


# --- similar texts --------------------------------------------------------------------------------

SHINGLE = 4
"""Characters of a shingle, a run of consecutive characters."""


def shingles(words: str) -> frozenset[str]:
    """Return all runs of ``SHINGLE`` characters; they cross words, as some scripts need."""
    starts = range(max(len(words) - SHINGLE, 0) + 1)
    return frozenset(words[start : start + SHINGLE] for start in starts)


def resemblance(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the share of common shingles, from 0 to 1: Broder's resemblance, or Jaccard index.

    Source: A. Broder, On the resemblance and containment of documents (1997).
    """
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)

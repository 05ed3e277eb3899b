"""Detects the encoding of a text that is not UTF-8 if it is certain; else lists the candidates.

Bytes do not identify their encoding, and a wrong guess sends gibberish that cannot be repaired. So a text is read as
Windows-1252 (a superset of Latin-1) only if its words can be those of Western Europe, and fewer of them can be those of
any one language written in another encoding. Signs alone are no evidence. For any other text the error lists the
candidates, with a sample of how the text would read in each.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from movie_stream.errors import UsageError

UTF8: Final = "utf-8"
WESTERN: Final = "windows-1252"
BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, the longer ones first."""
_WIDER: Final = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
}
"""Encodings that are read as a superset of theirs, as browsers do."""
_NO_CHARACTER_SETS: Final = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
"""Codecs of Python that are not character encodings."""
ODD: Final = "movie-stream-odd-bytes"
"""The name of the error handler that turns each invalid byte into a lone surrogate."""

ODD_CHARACTER: Final = "\udc00"
"""A surrogate that no invalid byte of UTF-8 becomes."""

NAMED: Final = 5
"""The most candidates that an error lists."""
_ENOUGH: Final = 0.9
"""This share of the words counts as all of them, since every file has names and typing errors."""
_SHOWN: Final = 24
"""Characters of a sample."""
_FEW_LETTERS: Final = 6
"""Fewer letters than this do not show how a language is spelled."""


def _odd(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return ODD_CHARACTER, error.end


codecs.register_error(ODD, _odd)


def encoding_of(name: str) -> str:
    """The name of Python's codec for the encoding that a user gives.

    >>> encoding_of("EUC-KR"), encoding_of("latin-1"), encoding_of("utf8")
    ('cp949', 'cp1252', 'utf-8')

    Raises UsageError.
    """
    try:
        info = codecs.lookup(name)
        b"a".decode(name, "ignore")  # raises unless it is a text encoding
        if info.name in _NO_CHARACTER_SETS:
            raise LookupError(info.name)
    except (LookupError, ValueError) as error:
        expected = "an encoding such as utf-8, windows-1251, euc-kr, shift_jis, gb18030 or utf-16"
        raise UsageError(argument="--encoding", expected=expected, got=name) from error
    return _WIDER.get(info.name, UTF8 if info.name in (UTF8, "utf-8-sig") else info.name)


def byte_order_mark(head: bytes) -> tuple[str, int] | None:
    """The encoding of the byte order mark at the beginning, and the mark's length in bytes; None if there is none."""
    return next(((name, len(mark)) for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding that a text could be in, and some of its words decoded by it."""

    name: str
    example: str
    is_certain: bool = False
    """Whether no other encoding is possible."""

    def __str__(self) -> str:
        return f'{self.name} ("{self.example}")'


def candidates(sample: bytes) -> list[Candidate]:
    """The encodings that a text which is not UTF-8 could be in, the likeliest first; only WESTERN may be certain.

    >>> [candidate.name for candidate in candidates("Amélie, crème brûlée, garçon".encode("cp1252"))]
    ['windows-1252']
    >>> [candidate.name for candidate in candidates("Ирония судьбы, или С лёгким паром".encode("cp1251"))]
    ['windows-1251']
    """
    words = [word for word in _WORDS.findall(sample) if not word.isascii()]
    western = _share(words, WESTERN, _WESTERN_LANGUAGES)
    shares = {name: max(_share(words, name, group) for group in of) for name, of in _RIVALS.items()}
    rivals = sorted((name for name in _RIVALS if shares[name].is_enough), key=lambda name: -shares[name].good)
    old = _old(words, western)
    if western.is_enough:
        better = [name for name in rivals if shares[name].good >= western.good] + old
        if western.is_evidence and (not better or _reads_alike(words, better)):
            return [Candidate(WESTERN, _example(_odd_words(sample, WESTERN)), is_certain=True)]
        rivals.insert(0, WESTERN)
    found = [*rivals, *old, *(script.encoding for script in _SCRIPTS if script.fits(sample))]
    return _candidates_of(
        sample, found or [name for name, of in _RIVALS.items() if _share(words, name, sum(of, ())).is_enough]
    )


def _candidates_of(sample: bytes, names: Sequence[str]) -> list[Candidate]:
    """The encodings in which the text reads differently, one for each reading, with the words that differ."""
    readings: dict[tuple[str, ...], str] = {}
    for name in names:
        readings.setdefault(tuple(_odd_words(sample, name)), name)
    same = set.intersection(*map(set, readings)) if len(readings) > 1 else set()
    return [Candidate(name, _example([word for word in words if word not in same])) for words, name in readings.items()]


def _odd_words(sample: bytes, name: str) -> list[str]:
    """The words that are not ASCII, decoded by this encoding."""
    words = sample.decode(name, ODD).replace(ODD_CHARACTER, "\ufffd").translate(_SEPARATORS).split()
    return [word for word in words if not word.isascii()]


def _example(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


_SEPARATORS: Final = dict.fromkeys(map(ord, ',;"|\t'), " ")
_WORDS: Final = re.compile(rb"[A-Za-z\x80-\xff]+")

# ---- Latin letters ---------------------------------------------------------------------------------------------------


class _Language:
    """The letters of a language beyond ASCII, and a pattern of positions in a lower-case word that exclude it."""

    def __init__(self, letters: str, misplaced: str = "(?!)") -> None:
        self.letters, self._misplaced = frozenset(letters), re.compile(misplaced)

    def has(self, word: str) -> bool:
        """Whether the word can be of this language."""
        has_letters = self.letters.issuperset(letter for letter in word if not letter.isascii())
        return has_letters and not self._misplaced.search(word)


_MISPLACED_CEDILLA: Final = "ç[^aouàáâãóôõúü]"
_MISPLACED_DIAERESIS: Final = "(?<![aeiouyàâéèêîôûœ])[ëï](?![aeiouyàâéèêîôû]|$)"
_FRENCH: Final = _Language("àâæçéèêëîïôœùûüÿ", f"{_MISPLACED_CEDILLA}|{_MISPLACED_DIAERESIS}")
_GERMAN: Final = _Language("äöüß", "(?<![aeiouyäöü])ß")
_WESTERN_LANGUAGES: Final = (
    *(_FRENCH, _GERMAN),
    _Language("áéíóúüñ", "ñ(?![aeiouáéíóú])"),
    _Language("áàâãçéêíóôõúü", f"{_MISPLACED_CEDILLA}|ã(?![oeis]|$)|õ(?!e)"),
    _Language("àèéìíîòóùú"),
    _Language("àçéèíïóòúü", f"{_MISPLACED_CEDILLA}|{_MISPLACED_DIAERESIS}"),
    _Language("áâàéèêëíïóôöúü", _MISPLACED_DIAERESIS),
    _Language("æøåäöéèàüóò"),
    _Language("áðéíóúýþæö", "^ð|þ$|þ(?![aeiouyáéíóúýæöjrv])"),
    _Language("äöõü"),
)
"""French, German, Spanish, Portuguese, Italian, Catalan, Dutch, the Nordic languages, Icelandic, and Estonian so far as
Windows-1252 has it.
"""
_CENTRAL: Final = tuple(
    (_Language(letters),)
    for letters in (
        *("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíľňóôšťúýž"),
        *("áéíóöőúüű", "ăâîşţ", "čćđšž"),
    )
)
"""Polish, Czech, Slovak (without letters that are rare there, and common in Swedish); Hungarian, Romanian, Croatian."""
_RIVALS: Final[dict[str, tuple[tuple[_Language, ...], ...]]] = {
    "windows-1250": _CENTRAL,
    "iso-8859-2": _CENTRAL,
    "windows-1254": ((_Language("çğıöşüâîû"),),),
    "windows-1257": tuple((_Language(letters),) for letters in ("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž")),
    "iso-8859-15": (_WESTERN_LANGUAGES,),
}
"""Other encodings with Latin letters, and the languages written in them: Windows-1254 for Turkish; Windows-1257 for
Lithuanian, Latvian and Estonian.
"""
_OLD: Final = ("mac-roman", "cp850")
"""Old Western encodings, whose letters have the bytes of signs in Windows-1252."""
_FIRST_LETTER: Final = 0xA8
"""The first byte of the letters in Windows-1252; most letters of old encodings have lower bytes."""
_OLD_LANGUAGES: Final = (_FRENCH, _GERMAN, *_WESTERN_LANGUAGES[2:8])
_SIGNS: Final = "“”‘’«»‹›–—…•·°§©®™\u00a0\u00ad"
_OPENING: Final = _SIGNS + "„‚¡¿"
_NEVER_ALONE: Final = ("„", "‚")
_CLOSING: Final = _SIGNS + "½¼¾²³´†‡"
"""Signs that occur before a word, after one, or alone."""
_CURRENCIES: Final = frozenset("€£¢¥¤")
"""Signs that occur beside numbers."""
_ALONE: Final = frozenset("àáâèéêìíòóôùúåäöøæ")
"""Letters that are words on their own."""
_APOSTROPHE: Final = re.compile(
    rb"[A-Za-z]+\x92(s|t|d|m|re|ve|ll)|(l|d|qu|j|n|s|c|m|t|dell|all|un|o)\x92.+", re.IGNORECASE
)
"""A word with an apostrophe of Windows-1252, as in English, French or Italian; no other reading is likelier."""


@dataclass(frozen=True, slots=True, order=True)
class _Share:
    """The share of the words, from 0 to 1, that can be of one language; signs and single letters do not count."""

    good: float
    is_evidence: bool

    @property
    def is_enough(self) -> bool:
        return self.good >= _ENOUGH


def _share(words: Sequence[bytes], encoding: str, languages: Sequence[_Language]) -> _Share:
    found = [_is_word(_decoded(word, encoding), languages) for word in words]
    good, bad = found.count(True), found.count(False)
    return _Share(good / (good + bad), good > 0) if good or bad else _Share(1.0, False)


def _old(words: Sequence[bytes], western: _Share) -> list[str]:
    """The old encodings that fit a text as well as Windows-1252, or better."""
    if western.is_enough:
        words = [word for word in words if not _APOSTROPHE.fullmatch(word)]
        western = _share(words, WESTERN, _WESTERN_LANGUAGES)
        if any(max(word) >= _FIRST_LETTER for word in words):
            return []
    shares = {name: _share(words, name, _OLD_LANGUAGES) for name in _OLD if _has_letters(words, name)}
    return [name for name, share in shares.items() if share.is_enough and share >= western]


def _decoded(word: bytes, encoding: str) -> str | None:
    try:
        return word.decode(encoding)
    except UnicodeDecodeError:
        return None


def _has_letters(words: Sequence[bytes], encoding: str) -> bool:
    """Whether there are letters beyond ASCII, and not signs alone."""
    return any(letter.isalpha() for word in words for letter in _decoded(word, encoding) or "" if not letter.isascii())


def _is_word(text: str | None, languages: Sequence[_Language]) -> bool | None:
    """Whether it can be a word: letters of one language, most of them ASCII; None if it is no evidence.

    >>> [_is_word(text, _WESTERN_LANGUAGES) for text in ("“Garçon”", "âè", "½", "è", "Ðokolaad")]
    [True, None, None, None, False]
    """
    if text is None or text in _NEVER_ALONE:
        return False
    parts = [part for part in re.split("[’–—…´]", text.lstrip(_OPENING).rstrip(_CLOSING)) if part]
    joined = "".join(parts).lower()
    if joined in _ALONE or _CURRENCIES.issuperset(joined):
        return None
    if len(joined) == 2 and not any(map(str.isascii, joined)):
        return None if any(language.has(joined) for language in languages) else False
    return all(part.isalpha() and _is_spelled(part.replace("İ", "I"), languages) for part in parts)


def _is_spelled(part: str, languages: Sequence[_Language]) -> bool:
    capital_later = any(letter.isupper() for letter in part[1:]) and not part.isupper()
    mostly_ascii = 4 * sum(not letter.isascii() for letter in part) <= 3 * len(part)
    small = part.lower()
    return not capital_later and mostly_ascii and any(language.has(small) for language in languages)


def _reads_alike(words: Sequence[bytes], names: Sequence[str]) -> bool:
    """Whether the text reads alike in these encodings and in Windows-1252."""
    return all(len({_decoded(word, name) for name in (WESTERN, *names)}) == 1 for word in words)


# ---- other scripts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Script:
    """An encoding for a script other than Latin."""

    encoding: str
    looks_right: Callable[[Sequence[str]], bool]
    """Whether the words that are not ASCII can be words of this script; signs do not count."""

    def fits(self, sample: bytes) -> bool:
        """Whether a text can be in it: its words are of this script alone, and few bytes are invalid."""
        text = sample.decode(self.encoding, ODD)
        beyond = [character for character in text if not character.isascii()]
        strange = sum(character == ODD_CHARACTER or "\u2500" <= character <= "\u259f" for character in beyond)
        words = [word for word in _SCRIPT_WORDS.findall(text) if not word.isascii()]
        mixed = sum(any(letter.isascii() for letter in word) for word in words)
        letters = sum(map(len, words))
        few_signs = len(beyond) - letters <= letters // 3
        return (
            bool(words)
            and strange <= len(beyond) // 50
            and mixed <= len(words) // 10
            and few_signs
            and (self.looks_right(words))
        )


_SCRIPT_WORDS: Final = re.compile("(?:[^\\W\\d_]|[\u0591-\u05c7\u064b-\u0652\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])+")
"""A word: letters, and the combining marks of some scripts."""


def _share_of(words: Sequence[str], among: str) -> float:
    letters, wanted = "".join(words), set(among)
    return sum(letter in wanted for letter in letters) / max(len(letters), 1)


def _is_cased(words: Sequence[str]) -> bool:
    """Whether most words are in lower case, capitalised, or in upper case."""
    return sum(word.islower() or word.istitle() or word.isupper() for word in words) >= 0.8 * len(words)


_RUSSIAN: Final = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
_CYRILLIC: Final = (
    _RUSSIAN,
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "абвгдђежзијклљмнњопрстћуфхцчџш",
    "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
)
"""Of Russian (and Bulgarian), Ukrainian, Belarusian, Serbian, Macedonian."""
_GREEK: Final = "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ"


def _is_cyrillic(words: Sequence[str]) -> bool:
    small = [word.lower() for word in words]
    known = max(_share_of(small, alphabet) for alphabet in _CYRILLIC) >= 0.97
    return known and _has_vowels(small, "аеёиоуыэюяіїєј", 0.25, 0.7) and _is_cased(words)


def _is_greek(words: Sequence[str]) -> bool:
    small = [word.lower() for word in words]
    known = _share_of(small, _GREEK) >= 0.97
    return known and _has_vowels(small, "αεηιουωάέήίόύώ", 0.3, 0.75) and _is_cased(words)


def _has_vowels(words: Sequence[str], vowels: str, least: float, most: float) -> bool:
    """Whether the share of vowels is that of ordinary text; always true of a few letters."""
    return sum(map(len, words)) < _FEW_LETTERS or least <= _share_of(words, vowels) <= most


def _is_within(first: str, last: str) -> Callable[[Sequence[str]], bool]:
    """Whether all letters lie in this range, and no word begins with a combining mark."""

    def looks_right(words: Sequence[str]) -> bool:
        letters = "".join(words)
        within = sum(first <= letter <= last for letter in letters)
        marks = sum(not word[0].isalpha() for word in words)
        return within >= 0.97 * len(letters) and marks <= len(words) // 20

    return looks_right


def _is_common(encoding: str, first: int, last: int) -> Callable[[Sequence[str]], bool]:
    """Whether most are common characters of a double-byte encoding, by their first byte, and hardly any are kana."""

    def looks_right(words: Sequence[str]) -> bool:
        letters = "".join(words)
        usual = sum(first <= code[0] <= last for code in (letter.encode(encoding, "replace") for letter in letters))
        return usual >= 0.75 * len(letters) and _kana(letters) <= len(letters) // 10

    return looks_right


def _is_japanese(words: Sequence[str]) -> bool:
    letters = "".join(words)
    ideographs = sum("\u4e00" <= letter <= "\u9fff" for letter in letters)
    kana = _kana(letters)
    return kana >= max(len(letters) // 8, 1) and kana + ideographs >= 0.95 * len(letters)


def _is_half_width(words: Sequence[str]) -> bool:
    return all("\uff66" <= letter <= "\uff9f" for word in words for letter in word)


def _kana(letters: str) -> int:
    return sum("\u3040" <= letter <= "\u30ff" for letter in letters)


_SCRIPTS: Final = (
    _Script("windows-1251", _is_cyrillic),
    _Script("windows-1253", _is_greek),
    _Script("iso-8859-7", _is_greek),
    _Script("windows-1255", _is_within("\u05d0", "\u05ea")),
    _Script("windows-1256", _is_within("\u0600", "\u06ff")),
    _Script("iso-8859-6", _is_within("\u0600", "\u06ff")),
    _Script("koi8-r", _is_cyrillic),
    _Script("koi8-u", _is_cyrillic),
    _Script("iso-8859-5", _is_cyrillic),
    _Script("cp866", _is_cyrillic),
    _Script("mac-cyrillic", _is_cyrillic),
    _Script("euc-kr", _is_within("\uac00", "\ud7a3")),
    _Script("shift_jis", _is_japanese),
    _Script("euc-jp", _is_japanese),
    _Script("gb18030", _is_common("gb2312", 0xB0, 0xD7)),
    _Script("big5", _is_common("big5", 0xA4, 0xC6)),
    _Script("tis-620", _is_within("\u0e01", "\u0e4e")),
    _Script("shift_jis", _is_half_width),
)

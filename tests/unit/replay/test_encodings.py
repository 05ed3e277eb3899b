"""A text that is not UTF-8 is taken for Windows-1252 where there is no doubt; else it is said what it could be."""

from __future__ import annotations

import contextlib
import encodings.aliases
from pathlib import Path

import pytest

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.files.encodings import WESTERN, candidates, encoding_of
from movie_stream.replay.source import source_of
from tests.services.replay.test_formats import read

OTHERS = {
    "windows-1251": "Ирония судьбы, или С лёгким паром!|Москва слезам не верит|Брат|Возвращение",
    "koi8-r": "Ирония судьбы, или С лёгким паром!|Москва слезам не верит|Брат|Возвращение",
    "iso-8859-5": "Ирония судьбы, или С лёгким паром!|Москва слезам не верит|Брат|Возвращение",
    "cp866": "Ирония судьбы, или С лёгким паром!|Москва слезам не верит|Брат|Возвращение",
    "koi8-u": "Тіні забутих предків|Земля|Плем'я|Їхали козаки",
    "windows-1253": "Ζορμπάς|Ποτέ την Κυριακή|Ο θίασος|Μια αιωνιότητα και μια μέρα",
    "euc-kr": "기생충|올드보이|살인의 추억|괴물|밀양",
    "shift_jis": "七人の侍|千と千尋の神隠し|となりのトトロ|東京物語",
    "euc-jp": "七人の侍|千と千尋の神隠し|となりのトトロ|東京物語",
    "gb18030": "霸王别姬|卧虎藏龙|英雄|活着|花样年华",
    "big5": "臥虎藏龍|悲情城市|花樣年華|一一",
    "windows-1255": "ואלס עם באשיר|הערת שוליים|בופור",
    "windows-1256": "المومياء|كفرناحوم|وجدة|باب الحديد",
    "tis-620": "ลุงบุญมีระลึกชาติ|องค์บาก",
    "windows-1250": "Popiół i diament|Zimna wojna|Człowiek z marmuru|Dług",
    "windows-1254": "Kış Uykusu|Bir Zamanlar Anadolu'da|Üç Maymun|İklimler|Eşkıya|Babam ve Oğlum",
    "windows-1257": "Riešutų duona|Jausmai|ąžuolas|ėjo|žmonių",
}
"""Titles, by an encoding that they may come in."""
CENTRAL = {
    "Czech": "Ostře sledované vlaky|Lásky jedné plavovlásky|Hoří má panenko|Spalovač mrtvol|Příběh",
    "Hungarian": "Szegénylegények|Sátántangó|A tanú|Erdő|gyűjtő|idő",
    "Romanian": "4 luni, 3 săptămâni şi 2 zile|Moartea domnului Lăzărescu|După dealuri",
    "one word": "Příběh",
}
WEST = {
    "French": "Amélie|La Règle du jeu|À bout de souffle|Être et avoir|Le Dîner de cons|garçon|cœur|Les Misérables",
    "German": "Die Büchse der Pandora|Männer|Große Straße|Über uns das All",
    "Spanish": "Señora|niño|corazón|mañana|¿Quién sabe?|¡Átame!|también",
    "Portuguese": "São Paulo|coração|não|português|Última parada",
    "Italian": "Così fan tutte|Città aperta|perché|più|virtù|è",
    "Swedish": "Smultronstället|Låt den rätte komma in|Höstsonaten",
    "Danish": "Babettes gæstebud|Adams æbler|Hævnen|Kærlighed på film|Døden",
    "Icelandic": "Hrútar|Djúpið|Maður|Þór",
    "many": "Amélie|Das Mädchen|São Paulo|niño|Ørsted|Pokémon|Más|Être|Köln",
    "one word": "Café",
    "signs": "Don’t look — “now”…|20°C|9½ Weeks|½|It´s|café",
    "apostrophe": "Don’t",
}
DOUBTFUL = [
    ("Dvēseļu putenis|Vārds", "windows-1257"),
    ("Nenorėjo|Heat", "windows-1257"),
    ("Tõde ja õigus|Šokolaad", "windows-1257"),
    ("시|Heat", "euc-kr"),
    ("גט|Heat", "windows-1255"),
    ("Я, robot|Heat", "windows-1251"),
    ("½|© 2|5€", "windows-1252"),
    ("Café", "cp850"),
    ("Voilà", "cp850"),
    ("avó|Última", "cp850"),
    ("Człowiek z żelaza|Pociąg", "iso-8859-2"),
    ("Ostře sledované vlaky|Tři oříšky", "iso-8859-2"),
    ("Amélie|Œuvre|€|Küche", "iso-8859-15"),
    ("Война и мир|Иван Васильевич", "mac-cyrillic"),
    ("Άννα|Μαρία", "iso-8859-7"),
    ("مرحبا|بالعالم", "iso-8859-6"),
    ("Žižkov|Příběh|Łódź|Świat|Kůň", "windows-1250"),
]
"""Titles that can be taken for others, by their encoding."""


def csv(titles: str) -> str:
    rows = (f'tt{n},"{title}",Drama,u{n},{1730383200000 + n},4' for n, title in enumerate(titles.split("|")))
    return "\n".join(["movie_id,title,genre,user_id,timestamp,rating", *rows, ""])


def titles_of(path: Path, encoding: str | None = None) -> list[str]:
    records, refused, _ = read(source_of(path, encoding=encoding))
    assert refused == []
    return [record["title"] for record in records]


@pytest.mark.parametrize("encoding", OTHERS)
def test_an_uncertain_encoding_is_refused_and_read_when_given(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv(OTHERS[encoding]).encode(encoding))
    with pytest.raises(
        InputError, match=r"it is not UTF-8; it could be .*; say (which|so) with: --encoding "
    ) as caught:
        read(source_of(path))
    assert encoding in [candidate.name for candidate in candidates(OTHERS[encoding].encode(encoding))][:3]
    assert encoding in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert titles_of(path, encoding) == OTHERS[encoding].split("|")


@pytest.mark.parametrize(("titles", "encoding"), DOUBTFUL)
def test_where_it_is_in_doubt_nothing_is_made_up(tmp_path: Path, titles: str, encoding: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv(titles).encode(encoding))
    with pytest.raises(InputError, match=r"it is not UTF-8; it could be ") as caught:
        read(source_of(path))
    found = candidates(titles.replace("|", "\n").encode(encoding))
    assert encoding in [candidate.name for candidate in found]
    told = "say which with: --encoding NAME, or" if len(found) > 1 else f"say so with: --encoding {encoding}, or"
    assert told in str(caught.value)
    assert titles_of(path, encoding) == titles.split("|")


def test_a_certain_encoding_stays_so_if_others_read_alike() -> None:
    for titles in ("Männer|Köln", "Così è", "Amélie|9½ Weeks|£5", "Låt|Såsom|Skärgård", "L’été|d’amour"):
        assert [c.name for c in candidates(titles.encode("cp1252"))] == [WESTERN], titles


@pytest.mark.parametrize("language", CENTRAL)
def test_latin_letters_of_other_languages_are_not_taken_for_western_ones(language: str) -> None:
    found = [candidate.name for candidate in candidates(CENTRAL[language].encode("cp1250"))]
    assert found[:1] == ["windows-1250"]


@pytest.mark.parametrize("language", WEST)
def test_western_languages_are_without_doubt(tmp_path: Path, language: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv(WEST[language]).encode("cp1252"))
    assert titles_of(path) == WEST[language].split("|")


def test_what_reads_as_well_in_another_encoding_is_in_doubt() -> None:
    found = [str(candidate) for candidate in candidates("Señorita".encode("cp1252"))]
    assert found == ['windows-1252 ("Señorita")', 'windows-1250 ("Seńorita")']


@pytest.mark.parametrize("old", ["mac-roman", "cp850"])
def test_old_encodings_of_the_west_are_named(old: str) -> None:
    assert [c.name for c in candidates("Amélie, château, Köln".encode(old))] == [old]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("Брат|괴물").encode(encoding))
    assert titles_of(path) == ["Брат", "괴물"]
    path.write_bytes(csv("Брат|괴물").encode(encoding))
    if encoding == "utf-16":
        path.write_bytes(b"\xfe\xff" + csv("Брат|괴물").encode("utf-16-be"))
        assert titles_of(path) == titles_of(path, "utf-16") == ["Брат", "괴물"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_without_a_mark_it_is_asked_for(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("Брат|괴물").encode(encoding))
    with pytest.raises(InputError, match=f"what looks like {encoding}'; say so with: --encoding {encoding}"):
        read(source_of(path))
    assert titles_of(path, encoding) == ["Брат", "괴물"]


@pytest.mark.parametrize(("name", "data"), [("utf-16", "utf-16-le"), ("utf-32", "utf-32-be"), ("utf-16", "utf-8")])
def test_utf_16_by_name_needs_a_mark(tmp_path: Path, name: str, data: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("Брат|괴물").encode(data))
    remedy = "leave out --encoding" if data == "utf-8" else f"say --encoding {data}"
    with pytest.raises(
        InputError, match=f"expected a {name.upper()} text with a byte order mark, got 'none'; {remedy}"
    ):
        read(source_of(path, encoding=name))


def test_a_byte_order_mark_wins_over_the_given_encoding(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    for marked in ("utf-8-sig", "utf-16", "utf-32"):
        path.write_bytes(csv("Брат|괴물").encode(marked))
        for said in ("windows-1251", "utf-16", "utf-16-be", "utf-8", "ascii"):
            assert titles_of(path, said) == ["Брат", "괴물"]
    path.write_bytes(b"\xef\xbb\xbf" + csv("Брат|Возвращение").encode("cp1251"))
    assert titles_of(path, "windows-1251") == ["Брат", "Возвращение"]


@pytest.mark.parametrize("name", sorted({*encodings.aliases.aliases.values(), "idna", "punycode", "undefined"}))
def test_any_encoding_of_python_is_refused_or_reads_any_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("A?|Heat").encode().replace(b"?", bytes(range(128, 256)) + b"+\\"))
    with contextlib.suppress(UsageError, InputError):
        read(source_of(path, encoding=name))


def test_ascii_has_no_other_letters(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("Amélie|Heat").encode("cp1252"))
    records, refused, _ = read(source_of(path, encoding="ascii"))
    assert ([record["title"] for record in records], [line for line, _ in refused]) == (["Heat"], [2])


def test_bytes_that_an_encoding_does_not_have_cost_their_row(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("괴물|밀양").encode("cp949").replace("밀양".encode("cp949"), b"\xff\xff"))
    records, refused, _ = read(source_of(path, encoding="euc-kr"))
    assert [record["title"] for record in records] == ["괴물"]
    assert refused == [(3, "title: not in the encoding of the file")]
    path.write_bytes(csv("Heat|Alien").encode("utf-16").replace("Al".encode("utf-16-le"), b"\x00\xd8l\x00"))
    records, refused, _ = read(source_of(path))
    assert ([record["title"] for record in records], [line for line, _ in refused]) == (["Heat"], [3])


def test_a_few_bad_rows_make_no_other_encoding(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(csv("|".join(["Кино"] * 20 + ["XX"])).encode().replace(b"XX", "Кино".encode("cp1251")))
    records, refused, _ = read(source_of(path))
    assert (len(records), [line for line, _ in refused]) == (20, [22])


def test_text_that_is_utf_8_by_chance_in_places_is_not_sent(tmp_path: Path) -> None:
    """Some pairs of bytes of Korean are letters in UTF-8 too."""
    path = tmp_path / "views.csv"
    chance = bytes([0xC8, 0xA3]).decode("euc-kr")  # a syllable whose bytes are a letter in UTF-8
    assert len(chance.encode("euc-kr").decode()) == 1
    path.write_bytes(csv("|".join([chance, "기생충", "올드보이", "살인의 추억"])).encode("euc-kr"))
    with pytest.raises(InputError, match="it is not UTF-8; it could be euc-kr"):
        read(source_of(path))


def test_an_encoding_is_read_as_the_wider_one_that_has_it() -> None:
    assert [encoding_of(name) for name in ("EUC-KR", "Shift_JIS", "GBK", "latin1", "UTF-8", "cp1251")] == [
        *("cp949", "cp932", "gb18030", "cp1252", "utf-8", "cp1251")
    ]
    for name in (
        "klingon",
        "base64",
        "rot13",
        "",
        "punycode",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "undefined",
    ):
        with pytest.raises(UsageError, match="--encoding: expected an encoding such as utf-8"):
            encoding_of(name)
    assert WESTERN == "windows-1252"

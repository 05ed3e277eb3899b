"""Takes out of text what a person, a log or a screen must not get: passwords, and what a terminal would obey."""

import re
from base64 import b64encode
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"
SHORTEST = 6
"""Characters of a secret that is looked for wherever it may stand. Hiding each `a` would hide nothing, and tell."""
_WORD = re.compile(r"\S+")
_AFTER_USER = re.compile(r":(?!//)")
_SECRET_OPTION = re.compile(
    r"((?:password|secret|token)[\w.]{0,64}\s{0,8}[=:]\s{0,8})(?!expected )([^\s&,;]+)", re.IGNORECASE
)  # bounded, so that a long text takes no longer than its length; "expected" is what our errors say of a setting

_secrets: dict[str, None] = {}
"""The secrets of this process in all their spellings, the longest first.

Of the process, since what hides them is: the formatter of every logger, whose messages also libraries write, and what
prints an error of which nobody knows where it comes from.
"""


def keep_secret(secret: str, *, user: str = "") -> None:
    """From now on `masked` hides this secret of this process wherever it stands and however it is written.

    That is: percent-encoded or decoded, in the escapes of Python, in base64, and as SASL PLAIN sends it with the user.
    Shorter ones than SHORTEST are left to the patterns.

    >>> keep_secret("hunter2!", user="ana")
    >>> masked("ana sent hunter2! as hunter2%21 and aHVudGVyMiE=")
    'ana sent *** as *** and ***'
    """
    plain = {secret, unquote(secret), unquote_plus(secret), " ".join(secret.split())}
    spelt = plain | {quote(text, safe=safe) for text in plain for safe in ("", "/")} | set(map(quote_plus, plain))
    spelt |= {shown(text)[1:-1] for text in plain for shown in (ascii, repr)} | {
        repr(text.encode())[2:-1] for text in plain
    }
    sent = [text.encode() for text in (*plain, *(f"{user}\0{user}\0{text}" for text in plain))]
    spelt |= {b64encode(octets).decode() for octets in sent}
    known = {*_secrets, *(text for text in spelt if len(text) >= SHORTEST)}
    _secrets.clear()
    _secrets.update(dict.fromkeys(sorted(known, key=len, reverse=True)))


def keep_uri_secret(uri: str) -> None:
    """The same for the passwords in a URI, those of its user and of its options."""
    user, _, password = uri.rpartition("@")[0].partition("://")[2].partition(":")
    for secret in (password, *(option for _, option in _SECRET_OPTION.findall(uri))):
        keep_secret(secret, user=unquote(user))


def masked(text: str) -> str:
    """The text without passwords: those that were kept secret, those of URIs, of `user:password@`, and of options such
    as `…Password=…`.

    >>> masked("mongodb://ana:hunter2@db.example:27017/?tlsCertificateKeyFilePassword=x&w=1")
    'mongodb://ana:***@db.example:27017/?tlsCertificateKeyFilePassword=***&w=1'
    >>> masked("mongodb://127.0.0.1:27017")
    'mongodb://127.0.0.1:27017'
    """
    for secret in _secrets:
        text = text.replace(secret, MASK)
    if "@" in text:
        text = _WORD.sub(lambda word: _without_password(word[0]), text)
    return _SECRET_OPTION.sub(rf"\1{MASK}", text)


def _without_password(word: str) -> str:
    """An unescaped @ belongs to the password more often than not: all up to the word's last @ goes."""
    head, at, rest = word.rpartition("@")
    colon = _AFTER_USER.search(head)
    if not at or colon is None or colon.end() == len(head):
        return word
    return f"{head[: colon.end()]}{MASK}@{rest}"


def printable(text: str) -> str:
    r"""The text with a replacement for each character that a terminal would obey or not show.

    >>> printable("Alien\x1b[2J\u202e")
    'Alien\ufffd[2J\ufffd'
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)

"""Removes from text what must not reach a person, a log or a screen: passwords, and terminal control characters."""

import re
from base64 import b64encode
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"
SHORTEST = 6
"""The least characters of a secret that is searched for anywhere. Masking each `a` would reveal the secret."""
_WORD = re.compile(r"\S+")
_USER = re.compile(r"(?>(?:[^:]*://)?)[^:]*:")  # and the scheme before it: a password, too, may begin with //
_SECRET_OPTION = re.compile(
    r"((?:password|secret|token)[\w.]{0,64}\s{0,8}[=:]\s{0,8})(?!expected )([^\s&,;]+)", re.IGNORECASE
)  # bounded, so that the time is linear in the length of the text; "expected" begins our errors about a setting

_secrets: dict[str, None] = {}
"""The secrets of this process in all their spellings, the longest first.

They are global to the process, like the code that masks them: the formatter of all loggers, including those of
libraries, and the code that prints errors of any origin.
"""


def keep_secret(secret: str, *, user: str = "") -> None:
    """Registers a secret, which `masked` hides from now on, in every spelling.

    The spellings are: percent-encoded or decoded, in Python's escapes, in base64, and as SASL PLAIN sends it with the
    user. Secrets shorter than SHORTEST are left to the patterns.

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
    """Registers the passwords in a URI, those of its user and of its options."""
    user, _, password = uri.rpartition("@")[0].partition("://")[2].partition(":")
    for secret in (password, *(option for _, option in _SECRET_OPTION.findall(uri))):
        keep_secret(secret, user=unquote(user))


def masked(text: str) -> str:
    """The text without passwords: registered ones, those of URIs, of `user:password@`, and of options such as
    `…Password=…`.

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
    """Masks up to the word's last @, since an unescaped @ more often than not belongs to the password."""
    head, at, rest = word.rpartition("@")
    user = _USER.match(head)
    if not at or user is None or user.end() == len(head):
        return word
    return f"{user[0]}{MASK}@{rest}"


def printable(text: str) -> str:
    r"""The text with a replacement for each control character and each character that is not printable.

    >>> printable("Alien\x1b[2J\u202e")
    'Alien\ufffd[2J\ufffd'
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)

"""Takes passwords out of text before a person, a log or a screen sees it."""

import re

MASK = "***"
_USER_AND_PASSWORD = re.compile(r"([^\s:/@,'\"]*):(?!//)\S+@")
_SECRET_OPTION = re.compile(r"([\w.]*(?:password|secret|token)[\w.]*\s*[=:]\s*)[^\s&,;]+", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without passwords: those of URIs, of `user:password@`, and of options such as `…Password=…`.

    >>> masked("mongodb://ana:hunter2@db.example:27017/?tlsCertificateKeyFilePassword=x&w=1")
    'mongodb://ana:***@db.example:27017/?tlsCertificateKeyFilePassword=***&w=1'
    >>> masked("mongodb://127.0.0.1:27017")
    'mongodb://127.0.0.1:27017'
    """
    # An unescaped @ belongs to the password more often than not: all up to the word's last @ goes.
    without_users = _USER_AND_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _SECRET_OPTION.sub(rf"\1{MASK}", without_users)

"""The MongoDB users of workers, the web server and BI tools, with least privilege: they may read and write, or only
read, a single database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, quote_plus, urlencode

from pydantic import SecretStr
from pymongo.errors import OperationFailure, PyMongoError

from movie_stream.errors import MovieStreamError, SettingMissing, SettingsError
from movie_stream.masking import MASK
from movie_stream.mongo.client import Database, address_of, explain, opened
from movie_stream.mongo.schema import Ensured
from movie_stream.settings import Settings, variable_of

_URI: Final = re.compile(r"(mongodb(?:\+srv)?://)(?:[^/?]*@)?([^/?]*)(?:/[^?]*)?(?:\?(.*))?")
_UNAUTHORIZED: Final = frozenset({13, 8000})
"""Unauthorized, AtlasError."""
_LOGIN: Final = frozenset({"authsource", "authmechanism", "authmechanismproperties"})
_CERTIFICATE: Final = frozenset({"tlscertificatekeyfile", "tlscertificatekeyfilepassword"})
"""Options of a URI, in lower case, that belong to the login."""


_WRITES: Final = frozenset(
    {"anyAction", "bypassDocumentValidation", "collMod", "convertToCapped", "createCollection", "createIndex"}
    | {"dropCollection", "dropDatabase", "dropIndex", "insert", "remove", "renameCollectionSameDB", "update"}
    | {"changePassword", "createRole", "createUser", "dropUser", "grantRole", "revokeRole"}
)
"""Actions that a user who only reads must not have."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user with least privilege that `init --create-user` creates in the results' database."""

    name: Literal["worker", "reader", "bi"]
    """The name within its settings MONGODB_..._USERNAME and MONGODB_..._PASSWORD."""
    role: Literal["readWrite", "read"]
    """Its role in the database."""
    of: str
    """The processes that log in with it."""

    @property
    def username_setting(self) -> str:
        """The name of the setting with the user name."""
        return f"mongodb_{self.name}_username"

    @property
    def password_setting(self) -> str:
        """The name of the setting with the password."""
        return f"mongodb_{self.name}_password"

    def username(self, settings: Settings) -> str | None:
        """The user name, None if it is not set."""
        name: str | None = getattr(settings, self.username_setting)
        return name

    def password(self, settings: Settings) -> SecretStr | None:
        """The password, None if it is not set."""
        password: SecretStr | None = getattr(settings, self.password_setting)
        return password


WORKER: Final = Account("worker", "readWrite", "the workers")
READER: Final = Account("reader", "read", "movie-stream serve")
BI: Final = Account("bi", "read", "BI tools such as MongoDB Compass")


class AuthenticationDisabled(MovieStreamError):
    """MongoDB runs without authentication, so that a user with few rights restricts nobody.

    What to do: turn authorization on in MongoDB first, by docs/how-to/security.md.

    >>> print(AuthenticationDisabled(uri="mongodb://mongo:27017"))
    MongoDB at mongodb://mongo:27017 lets anyone in, and a user would restrict nobody; start mongod with --auth \
(security.authorization: enabled), then do this again
    """

    def __init__(self, *, uri: str) -> None:
        super().__init__(
            f"MongoDB at {uri} lets anyone in, and a user would restrict nobody; start mongod with --auth "
            "(security.authorization: enabled), then do this again"
        )


class UserTaken(MovieStreamError):
    """A user of this name exists already, with other roles.

    What to do: choose another name, or drop the user.

    >>> print(UserTaken(account=READER, user="ana", database="movies_db", roles="readWrite on movies_db"))
    the MongoDB user ana of movies_db is there already, with other roles: expected read on movies_db alone, got \
readWrite on movies_db; set MONGODB_READER_USERNAME to another name, or drop that user
    """

    def __init__(self, *, account: Account, user: str, database: str, roles: str) -> None:
        super().__init__(
            f"the MongoDB user {user} of {database} is there already, with other roles: expected {account.role} on "
            f"{database} alone, got {roles}; set {variable_of(account.username_setting)} to another name, or drop that "
            "user"
        )


def accounts(settings: Settings) -> list[Account]:
    """The accounts to create: those with settings, or that of the workers if none has any.

    Raises SettingsError if two have the same name: each would overwrite the other's password.
    """
    wanted = [
        account
        for account in (WORKER, READER, BI)
        if account.username(settings) is not None or account.password(settings) is not None
    ]
    for first, second in combinations(wanted, 2):
        name = second.username(settings)
        if name is not None and name == first.username(settings):
            raise SettingsError(
                variable=variable_of(second.username_setting),
                expected=f"another user than {variable_of(first.username_setting)}",
                got=name,
            )
    return wanted or [WORKER]


async def ensure_user(settings: Settings, db: Database, account: Account = WORKER) -> Ensured:
    """Creates the user in the results' database; if it exists, sets its password.

    Raises SettingMissing, AuthenticationDisabled, UserTaken, MongoForbids if the user of MONGODB_URI is no
    administrator, and other errors of MongoDB.
    """
    user, password = credentials(settings, account)
    if await allows_anonymous_access(settings):
        raise AuthenticationDisabled(uri=address_of(db))
    wanted = [{"role": account.role, "db": db.name}]
    try:
        found = (await db.command("usersInfo", {"user": user, "db": db.name}))["users"]
        if found and found[0]["roles"] != wanted:
            raise UserTaken(account=account, user=user, database=db.name, roles=in_words(found[0]["roles"]))
        await db.command("updateUser" if found else "createUser", user, pwd=password, roles=wanted)
    except PyMongoError as error:
        raise explain(error, db) from error
    return Ensured("user", user, "changed" if found else "created")


def credentials(settings: Settings, account: Account = WORKER) -> tuple[str, str]:
    """The name and the password of the user. Raises SettingMissing."""
    user, password = account.username(settings), account.password(settings)
    if user is None:
        raise SettingMissing(
            variable=variable_of(account.username_setting),
            remedy=f"set it to the name of the user to be made for {account.of}, such as movie-stream",
        )
    if password is None:
        variable = variable_of(account.password_setting)
        raise SettingMissing(
            variable=variable, remedy=f"set it, or {variable}_FILE, to the password for the user to be made"
        )
    return user, password.get_secret_value()


def uri_as(uri: str, user: str, database: str, password: str = MASK) -> str:
    """The URI with which this user of the database logs in; the password is masked unless it is given.

    >>> uri_as("mongodb://root:hunter2@a:1,b:2/admin?authSource=admin&replicaSet=rs0", "movies", "movies_db")
    'mongodb://movies:***@a:1,b:2/?replicaSet=rs0&authSource=movies_db'
    """
    login = f"{user}:{password if password == MASK else quote_plus(password)}@"
    return _rewritten(uri, login, {"authSource": database}, without=_LOGIN | _CERTIFICATE)


def as_reader(settings: Settings) -> Settings:
    """The settings with a MONGODB_URI that logs in as the reader, if its name and password are set; else unchanged.

    A client certificate is kept, since MongoDB may require one. Raises SettingMissing if only one of the two is set.
    """
    if READER.username(settings) is None and READER.password(settings) is None:
        return settings
    user, password = credentials(settings, READER)
    login = f"{user}:{quote_plus(password)}@"
    uri = _rewritten(settings.require_mongodb(), login, {"authSource": settings.mongodb_database}, without=_LOGIN)
    return settings.model_copy(update={"mongodb_uri": SecretStr(uri)})


def in_words(roles: Iterable[Mapping[str, Any]]) -> str:
    """Roles as text.

    >>> in_words([{"role": "read", "db": "movies_db"}]), in_words([])
    ('read on movies_db', 'none')
    """
    return ", ".join(f"{role['role']} on {role['db']}" for role in roles) or "none"


async def may_write(db: Database) -> bool | None:
    """Whether the user of this connection may write; None if there is no login.

    Raises MongoAway, MongoRefused, MongoFailed.
    """
    try:
        status = (await db.client.admin.command("connectionStatus", showPrivileges=True))["authInfo"]
    except PyMongoError as error:
        raise explain(error, db) from error
    if not status["authenticatedUsers"]:
        return None
    return any(_WRITES.intersection(privilege["actions"]) for privilege in status["authenticatedUserPrivileges"])


def _rewritten(uri: str, login: str, more: dict[str, str], *, without: frozenset[str]) -> str:
    """The URI with another login, with `more` options added and the options `without` removed."""
    match = _URI.fullmatch(uri)
    assert match is not None, "a client was made of it"
    scheme, hosts, given = match.groups(default="")
    options = [(name, text) for name, text in parse_qsl(given) if name.lower() not in without]
    query = urlencode([*options, *more.items()], safe="/:,")
    return f"{scheme}{login}{hosts}/" + (f"?{query}" if query else "")


async def allows_anonymous_access(settings: Settings) -> bool:
    """Whether the database can be read without a login."""
    anonymous = SecretStr(_rewritten(settings.require_mongodb(), "", {}, without=_LOGIN))
    async with opened(settings.model_copy(update={"mongodb_uri": anonymous})) as db:
        try:
            await db.command("listCollections", nameOnly=True)
        except OperationFailure as error:
            if error.code not in _UNAUTHORIZED:
                raise
            return False
    return True

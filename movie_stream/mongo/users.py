"""The user that workers log in as: it may read and write the one database, and nothing else."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from pydantic import SecretStr
from pymongo.errors import OperationFailure, PyMongoError

from movie_stream.errors import MovieStreamError, SettingMissing
from movie_stream.masking import MASK
from movie_stream.mongo.client import Database, address_of, explain, opened
from movie_stream.mongo.schema import Ensured
from movie_stream.settings import Settings

ROLE: Final = "readWrite"
_URI: Final = re.compile(r"(mongodb(?:\+srv)?://)(?:[^/?]*@)?([^/?]*)(?:/[^?]*)?(?:\?(.*))?")
_UNAUTHORIZED: Final = frozenset({13, 8000})
"""Unauthorized, AtlasError."""
_LOGIN: Final = frozenset({"authsource", "authmechanism", "authmechanismproperties"})
_CERTIFICATE: Final = frozenset({"tlscertificatekeyfile", "tlscertificatekeyfilepassword"})
"""Options of a URI, in lower case, that belong to who logs in."""


class AnyoneMayEnter(MovieStreamError):
    """MongoDB asks nobody who they are, so that a user of few rights restricts nobody."""

    def __init__(self, *, uri: str) -> None:
        super().__init__(
            f"MongoDB at {uri} lets anyone in, and a user would restrict nobody; start mongod with --auth "
            "(security.authorization: enabled), then do this again"
        )


class UserTaken(MovieStreamError):
    """A user of this name is there, for something else."""

    def __init__(self, *, user: str, database: str, roles: str) -> None:
        super().__init__(
            f"the MongoDB user {user} of {database} is there already, with other roles: expected {ROLE} on {database} "
            f"alone, got {roles}; set MONGODB_WORKER_USERNAME to another name, or drop that user"
        )


async def ensure_user(settings: Settings, db: Database) -> Ensured:
    """Makes the user of MONGODB_WORKER_USERNAME in the results' database; one that is there gets the password anew.

    Raises SettingMissing, AnyoneMayEnter, UserTaken, MongoForbids where MONGODB_URI is no administrator's, and what
    else MongoDB has against it.
    """
    user, password = credentials(settings)
    if await _lets_anyone_in(settings):
        raise AnyoneMayEnter(uri=address_of(db))
    wanted = [{"role": ROLE, "db": db.name}]
    try:
        found = (await db.command("usersInfo", {"user": user, "db": db.name}))["users"]
        if found and found[0]["roles"] != wanted:
            roles = ", ".join(f"{role['role']} on {role['db']}" for role in found[0]["roles"]) or "none"
            raise UserTaken(user=user, database=db.name, roles=roles)
        await db.command("updateUser" if found else "createUser", user, pwd=password, roles=wanted)
    except PyMongoError as error:
        raise explain(error, db) from error
    return Ensured("user", user, "changed" if found else "created")


def credentials(settings: Settings) -> tuple[str, str]:
    """The name and the password that the user gets. Raises SettingMissing."""
    if settings.mongodb_worker_username is None:
        raise SettingMissing(
            variable="MONGODB_WORKER_USERNAME", remedy="set it to the name of the user to be made, such as movie-stream"
        )
    if settings.mongodb_worker_password is None:
        raise SettingMissing(
            variable="MONGODB_WORKER_PASSWORD",
            remedy="set it, or MONGODB_WORKER_PASSWORD_FILE, to the password for the user to be made",
        )
    return settings.mongodb_worker_username, settings.mongodb_worker_password.get_secret_value()


def worker_uri(uri: str, user: str, database: str) -> str:
    """The URI that workers are to be given, with a mask for the password.

    >>> worker_uri("mongodb://root:hunter2@a:1,b:2/admin?authSource=admin&replicaSet=rs0", "movies", "movies_db")
    'mongodb://movies:***@a:1,b:2/?replicaSet=rs0&authSource=movies_db'
    """
    return _rewritten(uri, f"{user}:{MASK}@", {"authSource": database}, without=_LOGIN | _CERTIFICATE)


def _rewritten(uri: str, login: str, more: dict[str, str], *, without: frozenset[str]) -> str:
    """The URI with another login and `more` options, `without` some of its own."""
    match = _URI.fullmatch(uri)
    assert match is not None, "a client was made of it"
    scheme, hosts, given = match.groups(default="")
    options = [(name, text) for name, text in parse_qsl(given) if name.lower() not in without]
    query = urlencode([*options, *more.items()], safe="/:,")
    return f"{scheme}{login}{hosts}/" + (f"?{query}" if query else "")


async def _lets_anyone_in(settings: Settings) -> bool:
    """Whether the database can be looked at without a login."""
    stranger = SecretStr(_rewritten(settings.require_mongodb(), "", {}, without=_LOGIN))
    async with opened(settings.model_copy(update={"mongodb_uri": stranger})) as db:
        try:
            await db.command("listCollections", nameOnly=True)
        except OperationFailure as error:
            if error.code not in _UNAUTHORIZED:
                raise
            return False
    return True

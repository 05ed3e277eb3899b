"""Check of `movie-stream doctor` on the read-only MongoDB users: the web server's and that of BI tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import SecretStr
from pymongo.errors import OperationFailure

from movie_stream.commands.doctor.findings import Findings
from movie_stream.errors import MongoForbids, MongoRefused
from movie_stream.mongo.client import explain, opened
from movie_stream.mongo.users import Account, allows_anonymous_access, in_words, may_write, uri_as
from movie_stream.settings import Settings, variable_of

_MAKE_IT: Final = "as an administrator: movie-stream init --create-user"


async def check_reader(settings: Settings, findings: Findings, account: Account) -> None:
    """Checks, if the account's name is set, that the user exists, may read the database, and may do nothing else."""
    user, password = account.username(settings), account.password(settings)
    if user is None:
        return
    database = settings.mongodb_database
    if await allows_anonymous_access(settings):
        findings.add(
            "warn",
            f"MongoDB lets anyone in, and the user {user} restricts nobody",
            "start mongod with --auth (security.authorization: enabled)",
        )
        return
    try:
        roles, writes = await (_seen(settings, user) if password is None else _logged_in(settings, user, password))
    except MongoForbids:
        what = f"the user of MONGODB_URI may not see what the user {user} of {database} may do"
        findings.add("warn", what, f"set {variable_of(account.password_setting)}, or run doctor as an administrator")
        return
    except MongoRefused:
        what = f"the user {user} of {database} cannot log in: it is not there, or has another password"
        findings.add("fail", what, _MAKE_IT)
        return
    wanted = {"role": account.role, "db": database}
    if roles is None:
        findings.add("fail", f"there is no user {user} of {database}", _MAKE_IT)
    elif wanted not in roles and not writes:
        findings.add("fail", f"{user} may not read {database}: its roles are {in_words(roles)}", _grant(user, wanted))
    elif roles != [wanted] or writes:
        what = f"{user} may do more than to read {database}: its roles are {in_words(roles)}"
        findings.add("warn", what, f"revoke all roles of {user} but {in_words([wanted])}")
    else:
        findings.add("ok", f"{user} may read {database}, and nothing else")


def _grant(user: str, role: dict[str, str]) -> str:
    return f"grant {user} the role {in_words([role])}, or drop it and, {_MAKE_IT}"


async def _logged_in(
    settings: Settings, user: str, password: SecretStr
) -> tuple[Sequence[dict[str, Any]] | None, bool]:
    """The roles of the user when logged in as it, and whether it could write."""
    uri = uri_as(settings.require_mongodb(), user, settings.mongodb_database, password.get_secret_value())
    async with opened(settings.model_copy(update={"mongodb_uri": SecretStr(uri)})) as db:
        status = await db.client.admin.command("connectionStatus")
        return status["authInfo"]["authenticatedUserRoles"], bool(await may_write(db))


async def _seen(settings: Settings, user: str) -> tuple[Sequence[dict[str, Any]] | None, bool]:
    """The roles of the user as the user of MONGODB_URI sees them; None if there is no such user."""
    async with opened(settings) as db:
        try:
            found = (await db.command("usersInfo", {"user": user, "db": db.name}))["users"]
        except OperationFailure as error:
            raise explain(error, db) from error
    return (found[0]["roles"] if found else None), False

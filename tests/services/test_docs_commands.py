"""Every line of shell in the documentation, and every example of a help text, is run or checked; none is left over."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from docs.made.commands import named_commands
from docs.made.kafka import acls
from movie_stream.cli import app
from movie_stream.settings import Settings, variable_of
from tests.services.test_docs import COMMUNITY, README, README_FR, ROOT
from tests.support.whole_path import COMMAND, PATIENCE_S, environment

PAGES = (README, README_FR, *COMMUNITY, *sorted((ROOT / "docs").rglob("*.md")))
HOW_TO = ROOT / "docs" / "how-to"
RUN = (
    README,
    *(HOW_TO / f"{name}.md" for name in ("files", "generate", "dead-letters", "results", "operate", "scale", "tune")),
    *(HOW_TO / f"{name}.md" for name in ("aggregation", "rebuild")),
)
"""Pages whose commands run here, one page after the other; those of docs/reference/python.md, rest.md and odata.md run
in tests of their own. Those of the others, which need a secured Kafka or hours, have their words checked.
"""
JQ = "--through 'jq"
"""What Python's packages do not bring: the filters have a test of their own, which says so where jq is missing."""
SMALLER = {
    "-n 1000000": "-n 1000",
    "--views 50000": "--views 500",
    "movie-stream worker": "movie-stream worker --until-end",
    "movie-stream rebuild": "movie-stream rebuild --yes",
}
"""What takes a while, never ends, or asks, and what it becomes."""
ASKING = ("movie-stream doctor", "movie-stream show", "movie-stream dead-letters list")
"""What changes nothing, and is run once, however many pages have it."""
FILTERS = {
    ".rating = (.rating | tonumber? // .)": [
        ('{"rating":"4.5","title":"A"}', '{"rating":4.5,"title":"A"}'),
        ('{"rating":"good"}', '{"rating":"good"}'),
        ('{"rating":4.5}', '{"rating":4.5}'),
        ('{"rating":null}', '{"rating":null}'),
        ('{"rating":[1]}', '{"rating":[1]}'),
    ],
    ".timestamp *= 1000": [('{"timestamp":1730385000}', '{"timestamp":1730385000000}')],
}
"""The filters of jq that we show, and what each must make of what it may be given."""

ELSEWHERE = {
    "curl": ("rest.md", "odata.md"),  # they run in web/test_serve_docs.py
    # These are looked at in tests/deploy/test_kubernetes_docs.py.
    **dict.fromkeys(("kubectl", "helm", "aws"), ("kubernetes.md",)),
    # tests/containers does what they do.
    **dict.fromkeys(("docker", "cat", "for", "done"), ("containers.md",)),
    # tests/deploy/test_installed.py installs so.
    **dict.fromkeys(("pipx", "uvx"), ("README.md", "README.fr.md", "install.md", "releasing.md", "index.md")),
    # The page is made of the help texts, whose examples have a test of their own.
    **dict.fromkeys(("gunzip", "MONGODB_WORKER_USERNAME=movies"), ("commands.md",)),
    # And client/test_producers.py.
    "pip": ("README.md", "README.fr.md", "install.md", "releasing.md", "producers.md", "index.md"),
    **dict.fromkeys(("python", "mvn", "go", "npm", "node"), ("producers.md",)),
    # They run in test_tutorial.py and replay/test_format_docs.py.
    ".": ("tutorial.md", "tutoriel.md"),
    "pytest": ("tutorial.md", "tutoriel.md", "format.md"),
    # Passwords are made up, values copied and edited, and the end of a job waited for.
    **dict.fromkeys(("worker=$(openssl", "cp", "until"), ("kubernetes.md",)),
    # What nobody can do before there is a release, or a cluster of brokers.
    **dict.fromkeys(("gh", "git"), ("releasing.md",)),
    **dict.fromkeys(("kafka-configs.sh", "kafka-reassign-partitions.sh"), ("kafka.md",)),
}
"""Programs of other pages, and the pages that may name them."""


def lines_of(page: Path) -> list[str]:
    """The commands in the blocks of shell of a page, without remarks."""
    found = re.findall(r"```(?:sh|bash|console|shell)\n(.*?)```\n", page.read_text("utf-8"), re.DOTALL)
    whole = [block.replace("\\\n", " ") for block in found]
    lines = [re.sub(r"\s+#\s.*$", "", line).strip() for block in whole for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def examples() -> Iterator[str]:
    """The commands that the help texts show."""
    for _, command in named_commands(app):
        shown = [line.strip() for line in (command.epilog or "").split("\n\n")[1:]]
        assert shown, command.name
        yield from shown


def assert_understood(line: str) -> None:
    """The words after `movie-stream` are a command with options that it has; the words around them are the shell's."""
    words = shlex.split(line.rpartition("| ")[2] if line.startswith("gunzip") else line)
    words = words[words.index("movie-stream") + 1 :]
    if ">" in words:
        words = words[: words.index(">")]
    command = typer.main.get_command(app)
    context = command.make_context("movie-stream", words)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
        context = command.make_context(name, words if not hasattr(command, "commands") else list(words), parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_line_is_of_a_kind_that_is_checked(page: Path) -> None:
    recipes = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    variables = set(map(variable_of, Settings.model_fields))
    for line in lines_of(page):
        match line.split()[0]:
            case "make":
                assert line.split()[1] in recipes, line
            case "export":
                name = line.split()[1].partition("=")[0]
                assert {name, name.removesuffix("_FILE")} & variables, line
            case "movie-stream":
                assert_understood(line)
            case "mongodump" | "mongorestore":  # they run in tests/upgrades/test_mongodump.py
                assert page.name == "backup.md", line
                default = Settings.model_fields["mongodb_database"].default
                assert "--db" not in line or f'--db="${{MONGODB_DATABASE:-{default}}}"' in line, line
            case "kafka-acls.sh":  # what it allows is what the table beside it asks for
                [(operation, kind, name)] = re.findall(r"--operation (\w+) --(group|topic) (\S+)", line)
                assert re.search(rf"\b{operation}\b.*\| {kind} `{name}` \|", acls()), line
            case program:
                assert page.name in ELSEWHERE.get(program, ()), f"nobody runs or checks this line: {line}"
                if " exec " in line and " movie-stream " in line:
                    assert_understood(line)


def test_every_example_of_a_help_text_is_understood() -> None:
    for line in examples():
        assert_understood(line)


def files_that_people_have(folder: Path) -> None:
    """Small ones of the names that the pages use."""
    ratings = "userId,movieId,rating,timestamp\n" + "".join(
        f"{user},1,4.0,17303850{user:02}\n" for user in range(1, 60)
    )
    films = "movieId,title,genres\n1,Alien (1979),Horror|Sci-Fi\n"
    with zipfile.ZipFile(folder / "ml-latest-small.zip", "w") as archive:
        archive.writestr("ml-latest-small/ratings.csv", ratings)
        archive.writestr("ml-latest-small/movies.csv", films)
    (folder / "ml-20m").mkdir()
    (folder / "ml-20m" / "ratings.csv").write_text(ratings, "utf-8")
    (folder / "ml-20m" / "movies.csv").write_text(films, "utf-8")
    head = "show_id,type,title,director,cast,country,date_added,release_year,rating,duration,listed_in,description\n"
    row = 's1,Movie,Alien,R. S.,S. W.,UK,"September 25, 2021",1979,R,117 min,"Horror Movies, Sci-Fi",In space\n'
    (folder / "netflix_titles.csv").write_text(head + row, "utf-8")
    (folder / "visits.csv").write_text("Film,Name,Category,User,Time\na,Alien,Horror,u1,1730385000000\n", "utf-8")
    (folder / "data").symlink_to(ROOT / "data")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "pages", [pytest.param((README,), id="README"), pytest.param(RUN, id="all", marks=pytest.mark.long)]
)
def test_the_commands_of_the_pages_run_one_after_the_other(
    pages: tuple[Path, ...], settings: Settings, tmp_path: Path
) -> None:
    files_that_people_have(tmp_path)
    lines = [line for page in pages for line in lines_of(page) if line.startswith("movie-stream ")]
    assert len(lines) > 4
    bin_folder = str(Path(COMMAND).parent)
    answered: set[str] = set()
    for number, line in enumerate(lines):
        if JQ in line or line in answered:
            continue
        shorter = line
        for what, instead in SMALLER.items():
            shorter = shorter.replace(what, instead)
        done = subprocess.run(
            ["bash", "-c", shorter],
            cwd=tmp_path,
            env=environment(settings, PATH=f"{bin_folder}:/usr/bin:/bin"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        # The first of them asks whether all is there, and it is not yet.
        unready = number == 0 and line == "movie-stream doctor"
        assert done.returncode == 0 or unready, f"{line}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, line
        answered |= {line} if line.startswith(ASKING) and not unready else set()


def filters() -> set[str]:
    shown = [line for page in PAGES for line in lines_of(page)] + list(examples())
    return {found for line in shown for found in re.findall(r'jq -c "(.*?)"', line.replace("\\", ""))}


def test_every_filter_of_jq_is_known() -> None:
    assert filters() == FILTERS.keys()
    assert all(JQ in line for page in PAGES for line in lines_of(page) if "jq" in line)


def test_the_documented_filters_of_jq_work() -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed; on Debian and Ubuntu: apt install jq")
    for text, pairs in FILTERS.items():
        done = subprocess.run(
            ["jq", "-c", text], input="\n".join(given for given, _ in pairs), capture_output=True, text=True, check=True
        )
        assert list(map(json.loads, done.stdout.splitlines())) == [json.loads(wanted) for _, wanted in pairs], text

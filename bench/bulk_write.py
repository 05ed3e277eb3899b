"""What MongoDB takes from a bare client: stored documents again, as guarded upserts by PyMongo's `bulk_write`.

`python -m bench.bulk_write FOLDER URI DATABASE` writes the documents of each file in the folder, as `dumped` made it,
into the collection of that name. Only the calls of `bulk_write` are timed, not what prepares their operations.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, UpdateOne

from bench.meter import LAST
from movie_stream.agents.publish import DOCUMENTS_AT_ONCE
from movie_stream.aggregates.results import RESULTS
from movie_stream.mongo.client import ACKNOWLEDGED
from movie_stream.mongo.guard import GuardedDocument, guarded_update

ENDING: Final = ".bson"


def dumped(uri: str, database: str, folder: Path) -> int:
    """Stores all results of a database in a folder, a file of BSON for each collection; returns their number."""
    count = 0
    with MongoClient[dict[str, Any]](uri) as client:
        for result in RESULTS:
            collection = client[database][result.collection]
            count += collection.count_documents({})
            with (folder / f"{result.collection}{ENDING}").open("wb") as file:
                batches: Iterator[Any] = collection.find_raw_batches({})
                file.writelines(batches)
    return count


def operations(file: Path) -> Iterator[UpdateOne]:
    """The upserts of the documents in a file, as a worker makes them."""
    with file.open("rb") as documents:
        while size := documents.read(4):
            encoded = size + documents.read(int.from_bytes(size, "little") - 4)
            document = bson.decode(encoded)
            rev, run = tuple(document["_rev"]), document["_run"]
            update = RawBSONDocument(guarded_update(GuardedDocument(file.stem, document["_id"], rev, run, encoded)))
            yield UpdateOne({"_id": document["_id"]}, [*update["u"]], upsert=True)


def main(folder: str, uri: str, database: str) -> None:
    """Writes all, and reports the number of documents, and the seconds of wall and CPU time."""
    wall_s = cpu_s = 0.0
    written = 0
    with MongoClient[dict[str, Any]](uri) as client:
        for file in sorted(Path(folder).glob(f"*{ENDING}")):
            collection = client[database].get_collection(file.stem, write_concern=ACKNOWLEDGED)
            coming = operations(file)
            while batch := list(islice(coming, DOCUMENTS_AT_ONCE)):
                began_s, began_cpu_s = monotonic(), process_time()
                result = collection.bulk_write(batch, ordered=False)
                wall_s, cpu_s = wall_s + monotonic() - began_s, cpu_s + process_time() - began_cpu_s
                written += result.upserted_count
    said = {"mark": LAST, "documents": written, "wall_s": wall_s, "cpu_s": cpu_s}
    sys.stdout.write(f"{json.dumps(said)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

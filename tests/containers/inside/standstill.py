# Run in the dashboard's container: looks at the sum of all views until it has stood still for the seconds given, and
# prints how long it stood still at most while it grew, when that began, and what the sum is.
import sys
import time
from typing import Any

from pymongo import MongoClient

from movie_stream.settings import load_settings

TOTAL = [{"$group": {"_id": None, "views": {"$sum": "$total_views"}}}]


def main(enough_s: float) -> None:
    settings = load_settings()
    client: MongoClient[dict[str, Any]] = MongoClient(settings.require_mongodb())
    views = client[settings.mongodb_database]["category_stats"]
    seen, since_s, longest_s, began_s, at_s = None, time.monotonic(), 0.0, time.monotonic(), 0.0
    while (now_s := time.monotonic()) - since_s < enough_s:
        found = next(iter(views.aggregate(TOTAL)), {"views": 0})["views"]
        if found != seen:
            if seen is not None and now_s - since_s > longest_s:
                longest_s, at_s = now_s - since_s, since_s - began_s
            seen, since_s = found, now_s
        time.sleep(0.05)
    print(f"{longest_s:.3f} {at_s:.1f} {seen}")


if __name__ == "__main__":
    main(float(sys.argv[1]))

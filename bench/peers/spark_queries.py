"""Spark Structured Streaming as in its guide: four queries over one source. JARS SERVERS TOPIC EVENTS.

The queries are by minute and genre, by hour and film, by genre, and by day. It reads the whole topic in any number of
micro-batches; rows are brought to the driver and dropped.
"""

import json
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (as everybody calls it)

SCHEMA = "movie_id string, title string, genre string, user_id string, timestamp long, rating double, duration int"


def main(jars: str, servers: str, topic: str, events: int) -> None:
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", ",".join(map(str, Path(jars).glob("*.jar"))))
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", "3")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    report("first")
    queries = [
        query(views(spark, servers, topic))
        .writeStream.outputMode("update")
        .foreachBatch(lambda rows, _: rows.collect() and None)
        .option("checkpointLocation", f"checkpoints/{query.__name__}")
        .trigger(availableNow=True)
        .start()
        for query in (by_minute_and_genre, by_hour_and_film, by_genre, by_day)
    ]
    for running in queries:
        running.awaitTermination()
    read = min(sum(progress["numInputRows"] for progress in running.recentProgress) for running in queries)
    assert read >= events, f"a query has read {read} of {events} events"
    report("last", events=events)


def views(spark: SparkSession, servers: str, topic: str) -> DataFrame:
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", servers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .load()
    )
    parsed = records.select(F.from_json(F.col("value").cast("string"), SCHEMA).alias("view")).select("view.*")
    return parsed.withColumn("time", F.timestamp_millis("timestamp")).withWatermark("time", "10 minutes")


def by_minute_and_genre(views: DataFrame) -> DataFrame:
    rating = F.avg("rating"), F.max("rating"), F.min("rating")
    users = F.approx_count_distinct("user_id")
    return views.groupBy(F.window("time", "1 minute"), "genre").agg(F.count("*"), users, *rating, F.sum("duration"))


def by_hour_and_film(views: DataFrame) -> DataFrame:
    return views.groupBy(F.window("time", "1 hour"), "movie_id", "title").agg(F.count("*"), F.avg("rating"))


def by_genre(views: DataFrame) -> DataFrame:
    films, users = F.approx_count_distinct("movie_id"), F.approx_count_distinct("user_id")
    return views.groupBy("genre").agg(F.count("*"), films, users, F.avg("rating"))


def by_day(views: DataFrame) -> DataFrame:
    return views.groupBy(F.window("time", "1 day")).agg(F.count("*"), F.approx_count_distinct("user_id"))


def report(mark: str, **more: int) -> None:
    print(json.dumps({"mark": mark, **more}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

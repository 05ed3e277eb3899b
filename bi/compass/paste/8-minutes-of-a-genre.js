// Minutes of a genre. A genre's minutes, newest first. Change the genre, written as it is shown. Change the times to the ones you want (UTC).
// Collection movies_aggregates, answered by its index genre_1_window_start_-1.
// Filter
{
  "genre": "Drama",
  "window_start": {
    "$gte": ISODate("2024-10-31T00:00:00Z"),
    "$lt": ISODate("2024-11-01T00:00:00Z")
  }
}
// Sort
{
  "window_start": -1
}

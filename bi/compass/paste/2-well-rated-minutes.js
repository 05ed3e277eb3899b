// Well rated minutes. The minutes and genres with a mean rating of 4.5 or more, best first. Change the times to the ones you want (UTC).
// Collection movies_aggregates, answered by its index window_start_1.
// Filter
{
  "window_start": {
    "$gte": ISODate("2024-10-31T00:00:00Z"),
    "$lt": ISODate("2024-11-01T00:00:00Z")
  },
  "avg_rating": {
    "$gte": 4.5
  }
}
// Sort
{
  "avg_rating": -1,
  "_id": 1
}

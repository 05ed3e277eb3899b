// Views by hour of the day
// The hours of the day (UTC), those with most views first. Change the times to the ones you want
// (UTC).
// Collection hourly_metrics, answered by its index timestamp_1.
[
  {
    "$match": {
      "timestamp": {
        "$gte": ISODate("2024-10-31T00:00:00Z"),
        "$lt": ISODate("2024-11-01T00:00:00Z")
      }
    }
  },
  {
    "$group": {
      "_id": {
        "$hour": "$timestamp"
      },
      "total_views": {
        "$sum": "$total_views"
      }
    }
  },
  {
    "$sort": {
      "total_views": -1,
      "_id": 1
    }
  }
]

// Most active users
// The users with most views, over the lists of the days. Views of a day on which a user was not among
// that day's ten are missing. Change the times to the ones you want (UTC).
// Collection top_users, answered by its index timestamp_1.
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
    "$unwind": "$top_users"
  },
  {
    "$group": {
      "_id": "$top_users.user_id",
      "watch_count": {
        "$sum": "$top_users.watch_count"
      },
      "watch_time": {
        "$sum": "$top_users.watch_time"
      }
    }
  },
  {
    "$sort": {
      "watch_count": -1,
      "_id": 1
    }
  },
  {
    "$limit": 10
  }
]

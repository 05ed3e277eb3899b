// Ratings by genre
// The mean rating of each genre over several days, weighted by the number of ratings: an average of
// the days' averages would differ. Change the times to the ones you want (UTC).
// Collection daily_stats, answered by its index timestamp_1.
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
      "_id": "$slug",
      "genre": {
        "$min": "$genre"
      },
      "views": {
        "$sum": "$daily_views"
      },
      "rated_views": {
        "$sum": "$rated_views"
      },
      "rating_sum": {
        "$sum": {
          "$multiply": [
            {
              "$ifNull": [
                "$avg_daily_rating",
                0
              ]
            },
            "$rated_views"
          ]
        }
      }
    }
  },
  {
    "$project": {
      "_id": 0,
      "genre": 1,
      "views": 1,
      "rated_views": 1,
      "avg_rating": {
        "$cond": [
          {
            "$gt": [
              "$rated_views",
              0
            ]
          },
          {
            "$divide": [
              "$rating_sum",
              "$rated_views"
            ]
          },
          null
        ]
      }
    }
  },
  {
    "$sort": {
      "avg_rating": -1,
      "genre": 1
    }
  }
]

// Growth by day
// The views of each day, and their growth relative to the day before, as a share of it or null. Change
// the times to the ones you want (UTC).
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
      "_id": "$timestamp",
      "views": {
        "$sum": "$daily_views"
      }
    }
  },
  {
    "$setWindowFields": {
      "sortBy": {
        "_id": 1
      },
      "output": {
        "before": {
          "$sum": "$views",
          "window": {
            "range": [
              -1,
              -1
            ],
            "unit": "day"
          }
        }
      }
    }
  },
  {
    "$project": {
      "views": 1,
      "growth": {
        "$cond": [
          {
            "$gt": [
              "$before",
              0
            ]
          },
          {
            "$divide": [
              {
                "$subtract": [
                  "$views",
                  "$before"
                ]
              },
              "$before"
            ]
          },
          null
        ]
      }
    }
  },
  {
    "$sort": {
      "_id": 1
    }
  }
]

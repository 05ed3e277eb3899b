// Films of the newest day
// The ten films with most views on the last day with views (UTC).
// Collection top_movies_daily, answered by its index timestamp_1.
[
  {
    "$sort": {
      "timestamp": -1
    }
  },
  {
    "$limit": 1
  },
  {
    "$unwind": {
      "path": "$top_movies",
      "includeArrayIndex": "place"
    }
  },
  {
    "$match": {
      "place": {
        "$lt": 10
      }
    }
  },
  {
    "$replaceWith": {
      "$mergeObjects": [
        {
          "date": "$date"
        },
        "$top_movies"
      ]
    }
  }
]

// Top 5 genres. The genres with most views of all time.
// Collection category_stats, answered by its index total_views_-1.
// Filter
{}
// Project
{
  "_id": 0,
  "genre": 1,
  "total_views": 1,
  "avg_rating": 1
}
// Sort
{
  "total_views": -1
}
// Limit
5

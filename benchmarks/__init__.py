"""How fast a refresh is, and how much memory it takes, against other ways from MongoDB to a CSV file."""

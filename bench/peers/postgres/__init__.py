"""PostgreSQL with the schema and the queries that a good engineer would give it."""

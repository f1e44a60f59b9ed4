"""Success with intervals: statistics, aggregates over runs, and the assessment of a policy."""

"""A package in the form of BrowserGym, as far as its environments are spoken to: two benchmarks, without a browser."""

"""Episodes on other machines: collectors that play them, and the executor that hands them out."""

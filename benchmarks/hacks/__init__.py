"""The hack matrix: known attacks and their relatives, each tried against the code as it is and with its guard removed."""

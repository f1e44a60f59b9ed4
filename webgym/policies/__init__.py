"""Policies: the protocol, scripted ones, models behind a server, demonstrators."""

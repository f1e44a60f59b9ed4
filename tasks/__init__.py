"""The task packs: one folder each, with its manifest `pack.toml`, found by discovery."""

"""Sources of tasks: packs, sets, and the rehearsal before the first episode."""

"""Where tasks come from: packs, sets, and the rehearsal before the first episode."""

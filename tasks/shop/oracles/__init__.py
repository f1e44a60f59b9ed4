"""Programs that solve the shop's tasks from what an agent sees."""

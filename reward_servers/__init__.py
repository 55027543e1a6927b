"""Ray actors that own judges: launched before training, restarted when they die, stopped after it."""

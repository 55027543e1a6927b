"""Before a run: is the machine ready, is the config right, what will it take."""

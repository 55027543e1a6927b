"""The only room that imports EasyR1: its trainer with FGRPO's advantage, rewards and multipliers."""

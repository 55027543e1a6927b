"""The only room that imports verl: what is registered with it, and what is fixed in it."""

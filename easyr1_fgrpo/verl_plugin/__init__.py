"""The only room that imports verl: what is registered with it, and what is mended in it."""

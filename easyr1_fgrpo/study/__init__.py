"""The paper's finding in miniature: many runs of one recipe, and the page that says what came out."""

"""How a model answers: asked behind a URL or in this process, its answers cached on disk."""

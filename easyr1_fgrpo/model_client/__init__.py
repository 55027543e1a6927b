"""Any model behind OpenAI-compatible URLs: calls, endpoints, repetitions, pictures on the wire."""

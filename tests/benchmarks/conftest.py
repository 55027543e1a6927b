from performance import row  # noqa: F401 (a fixture)

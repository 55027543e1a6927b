"""A machine without a GPU, for tests: installed in every process of a run, and only with VERL_PLATFORM=cpu."""

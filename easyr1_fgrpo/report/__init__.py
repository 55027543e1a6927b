"""A run directory, or several, becomes figures and one page: from files alone, while the run is still going too."""

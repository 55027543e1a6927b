"""The charts of the page as plotly figures; colours are names (`ink`) that the page turns into its theme's."""

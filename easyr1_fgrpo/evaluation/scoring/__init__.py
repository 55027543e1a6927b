"""From an answer to a trace record: read in its style, matched by rule and by scorer, judged."""

"""Data sets as others publish them: found on the hub or on disk, read, and their options and pictures made out."""

"""Anybody's file of questions about pictures -> the files that are trained on: columns guessed, splits made."""

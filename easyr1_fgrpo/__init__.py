"""Faithful GRPO for verl: task reward subject to consistent and visually grounded reasoning (arXiv 2604.08476)."""

"""What is made of prepared rows: seeds, the RL set and its card, and looks at them."""

"""Generation with transformers on the CPU: the same sampler in training (rollouts) and in evaluation."""

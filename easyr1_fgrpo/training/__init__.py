"""FGRPO for any trainer: one rollout scored, one step taken, controllers, state and metrics. No verl, no Ray."""

"""The names under which this project registers with verl; they are what configs say."""

TRAINER = "fgrpo"
AGENT_LOOP = "fgrpo_single_turn"
CPU_ROLLOUT = "transformers_cpu"

"""Settings with two constraints, as the trainer reads them."""


def settings_of(**changes):
    """`fgrpo.*` with two constraints; dual step 0.1, from 1 applicable rollout on."""
    return {
        "run_dir": "runs/test",
        "constraint_keys": ["consistency", "spatial_grounding"],
        "constraints": {
            "consistency": {"threshold": 0.95, "initial_multiplier": 1.0},
            "spatial_grounding": {"threshold": 0.65, "initial_multiplier": 0.5},
            "semantic_grounding": {"threshold": 0.95},
        },
        "dual": {"lr": 0.1, "lambda_max": 1.5, "min_applicable": 1},
        "judges": {},
        **changes,
    }

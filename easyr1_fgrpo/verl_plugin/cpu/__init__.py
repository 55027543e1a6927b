"""verl without an accelerator: platform, rollout server and image reading, used only with VERL_PLATFORM=cpu."""

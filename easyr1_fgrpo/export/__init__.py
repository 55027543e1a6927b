"""Checkpoints to use: from a run's folder to a Hugging Face folder with a model card."""

from easyr1_fgrpo.export.checkpoint import Checkpoint, export, find_checkpoint, loadable

__all__ = ["Checkpoint", "export", "find_checkpoint", "loadable"]

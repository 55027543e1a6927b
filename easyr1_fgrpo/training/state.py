"""The multipliers inside a checkpoint of the host: a file beside the policy, so that a resumed run goes on exactly."""

from __future__ import annotations

import logging
from pathlib import Path

from easyr1_fgrpo.algorithm import MultiplierController
from easyr1_fgrpo.checkpoints import STATE_FILE, read_state
from easyr1_fgrpo.files import write_json

logger = logging.getLogger(__name__)


def save_state(controller: MultiplierController, checkpoint: Path) -> None:
    """Write the state into a checkpoint's folder; call it before the host marks the checkpoint as whole."""
    write_json(checkpoint / STATE_FILE, controller.state_dict())


def load_state(controller: MultiplierController, checkpoint: Path) -> None:
    """Take over the state of a checkpoint.

    Raises:
        FileNotFoundError: when the checkpoint has none.
        ValueError: when it is another controller's, of other constraints, or not whole.
    """
    controller.load_state_dict(read_state(checkpoint))
    logger.info("multipliers resumed from %s: %s", checkpoint, controller.multipliers)

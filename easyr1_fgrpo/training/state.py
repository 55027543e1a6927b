"""FGRPO's state inside a checkpoint of the host: a file beside the policy, so that a resumed run goes on exactly.

It holds the multipliers, what their controller remembers, for how many steps constraints have been unmeasured or
stood still, and the last steps that a sudden change is told by.
"""

from __future__ import annotations

import logging
from pathlib import Path

from easyr1_fgrpo.checkpoints import STATE_FILE, read_state
from easyr1_fgrpo.files import write_json
from easyr1_fgrpo.training.step import Fgrpo

logger = logging.getLogger(__name__)

UNMEASURED, SUDDEN, STANDSTILL = "unmeasured", "sudden", "standstill"


def save_state(fgrpo: Fgrpo, checkpoint: Path) -> None:
    """Write the state into a checkpoint's folder; call it before the host marks the checkpoint as whole."""
    more = {
        UNMEASURED: fgrpo.unmeasured.state_dict(),
        SUDDEN: fgrpo.sudden.state_dict(),
        STANDSTILL: fgrpo.standstills.state_dict(),
    }
    write_json(checkpoint / STATE_FILE, {**fgrpo.controller.state_dict(), **more})


def load_state(fgrpo: Fgrpo, checkpoint: Path) -> None:
    """Take over the state of a checkpoint.

    Raises:
        FileNotFoundError: when the checkpoint has none.
        ValueError: when it is another controller's, of other constraints, or not whole.
    """
    state = read_state(checkpoint)
    fgrpo.controller.load_state_dict(state)
    fgrpo.unmeasured.load_state_dict(state.get(UNMEASURED, {}))  # older checkpoints have none of these
    fgrpo.sudden.load_state_dict(state.get(SUDDEN, {}))
    fgrpo.standstills.load_state_dict(state.get(STANDSTILL, {}))
    logger.info("multipliers resumed from %s: %s", checkpoint, fgrpo.controller.multipliers)

"""What can be known to be wrong with a run before it starts, whoever trains; a host's own checks are in its plug-in."""

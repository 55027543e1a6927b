"""Data preparation: not here yet; the miniature makes its own rows (`easyr1_fgrpo.miniature.build`)."""

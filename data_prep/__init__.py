"""Data preparation: public sources -> one row schema -> the SFT set and the RL set.

A stage reads folders of shards and writes one (`data_prep.shards`); `fgrpo data` lists the commands.
"""

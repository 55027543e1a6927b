"""Data preparation: public sources -> one row schema -> the SFT set and the RL set.

A stage reads folders of shards and writes one (`data_prep.shards`); `python -m data_prep` lists the commands.
"""

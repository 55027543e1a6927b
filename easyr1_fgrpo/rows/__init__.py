"""Rows of a dataset, in verl's columns: what they hold, read, written, and checked.

A file is parquet with the columns `data_source`, `prompt`, `images`, `reward_model` and `extra_info`. Rows are numbered
from 0, as pandas and pyarrow number them.
"""

from easyr1_fgrpo.rows.checks import causes, check_rows
from easyr1_fgrpo.rows.parquet import (
    BATCH_ROWS,
    CONVERSATION_SCHEMA,
    ROW_SCHEMA,
    ParquetWriter,
    count_rows,
    read_rows,
    write_rows,
)
from easyr1_fgrpo.rows.row import (
    IMAGE_MARK,
    ExtraInfo,
    Message,
    RewardModel,
    Row,
    RowImage,
    explain,
    parts_agree,
    special_token,
)

__all__ = [
    "BATCH_ROWS",
    "CONVERSATION_SCHEMA",
    "IMAGE_MARK",
    "ROW_SCHEMA",
    "ExtraInfo",
    "Message",
    "ParquetWriter",
    "RewardModel",
    "Row",
    "RowImage",
    "causes",
    "check_rows",
    "count_rows",
    "explain",
    "parts_agree",
    "read_rows",
    "special_token",
    "write_rows",
]

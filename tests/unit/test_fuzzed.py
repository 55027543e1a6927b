"""What a fuzzer found interesting is read again, and so is everything that people have reported."""

import fuzz_readers
import pytest
from case_tables import read_cases


@pytest.mark.parametrize("name", fuzz_readers.READERS)
def test_interesting_inputs(name):
    inputs = fuzz_readers.kept()[name]
    assert inputs
    for data in inputs:
        fuzz_readers.READERS[name](data)


def test_reported_inputs():
    for table, name in {"responses": "response", "sentences": "sentences", "replies": "verdict"}.items():
        for case in read_cases(table):
            if isinstance(case["input"], str):
                fuzz_readers.READERS[name](case["input"].encode())

"""What the miniature study found: one question a module, answered from the records of its runs (docs/findings.md)."""

from easyr1_fgrpo.study.findings.page import QUESTIONS, write_findings

__all__ = ["QUESTIONS", "write_findings"]

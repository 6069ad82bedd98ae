"""The benchmark of the batch command."""

import re
import sys

import pytest
from engines import MODEL

from benchmarks.batch import main


def test_each_way_is_compared_with_one_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(MODEL), "--photos", "1", "--rounds", "1", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["batch", *options])
    main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert re.fullmatch(r"\| one process, one thread \| [\d.]+ \| 1\.00 \|", rows[0])
    assert len(rows) == 3

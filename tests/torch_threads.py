"""How many threads PyTorch has in tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The tensors of these tests are so small that two threads would mostly wait for each other.

    Afterwards PyTorch has the threads that it had, whatever the tests set.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

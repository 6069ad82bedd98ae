import math

import pytest
from inpaint_client import InpaintClient, InvalidInputError, Retry, Timeout


def test_backoff_is_jittered_between_zero_and_a_doubling_ceiling() -> None:
    retry = Retry(backoff=0.5, cap=30)
    for repeat, ceiling in [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0)]:
        delays = [retry.delay(repeat) for _ in range(400)]
        assert 0 <= min(delays) < 0.1 * ceiling
        assert 0.9 * ceiling < max(delays) <= ceiling


def test_no_delay_exceeds_the_cap() -> None:
    retry = Retry(backoff=0.5, cap=2.0)
    assert max(retry.delay(10**6) for _ in range(200)) <= 2.0
    assert retry.delay(1, retry_after=3600.0) == 2.0


def test_a_delay_is_never_shorter_than_retry_after() -> None:
    retry = Retry(backoff=0.5, cap=30)
    assert min(retry.delay(1, retry_after=7.0) for _ in range(50)) == 7.0
    assert all(retry.delay(4, retry_after=1.0) >= 1.0 for _ in range(50))


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf])
def test_timeout_refuses_what_is_no_time(wrong: float) -> None:
    with pytest.raises(InvalidInputError, match="read"):
        Timeout(read=wrong)
    with pytest.raises(InvalidInputError, match="connect"):
        Timeout(connect=wrong)


@pytest.mark.parametrize("wrong", [{"count": -1}, {"backoff": -0.1}, {"cap": math.nan}])
def test_retry_refuses_nonsense(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        Retry(**wrong)


def test_at_most_lowers_and_never_raises() -> None:
    assert Timeout(connect=5, read=120).at_most(10) == Timeout(connect=5, read=10)


def test_plain_numbers_stand_for_the_objects() -> None:
    for wrong in ({"timeout": 0.0}, {"timeout": -3.0}, {"retries": -1}):
        with pytest.raises(InvalidInputError):
            InpaintClient(**wrong)

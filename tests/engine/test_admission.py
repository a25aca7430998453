"""Every number of a request is checked in the engine too, whatever a door let through."""

from __future__ import annotations

import math

import pytest

from inferflux.engine.admission import Limits, admit
from inferflux.engine.errors import RequestRejected
from inferflux.engine.messages import SamplingParams

LIMITS = Limits(vocab_size=50, context_length=128, capacity=1024)


@pytest.mark.parametrize(
    "field",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": 100.5},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"min_p": math.nan},
        {"seed": -1},
        {"seed": 2**64},
        {"logprobs": 21},
        {"logprobs": -1},
    ],
    ids=str,
)
def test_sampling_out_of_range_is_refused_by_name(request_of, field):
    with pytest.raises(RequestRejected, match=next(iter(field))):
        admit(request_of("a", [1], sampling=SamplingParams(**field)), LIMITS)


@pytest.mark.parametrize(
    ("prompt", "more", "complaint"),
    [
        ([], {}, "prompt is empty"),
        ([1], {"request_id": "x" * 257}, "length of request_id is 257"),
        ([1, 50], {}, r"prompt\[1\] is 50.*0 to 49"),
        ([-1], {}, r"prompt\[0\] is -1"),
        ([1], {"max_tokens": -1}, "max_tokens is -1"),
        ([1], {"stop_token_ids": [50]}, r"stop_token_ids\[0\] is 50"),
        ([1], {"stop_token_ids": [1] * 129}, "number of stop_token_ids is 129"),
        ([1], {"prompt_logprobs": 21}, "prompt_logprobs is 21"),
        ([1], {"deadline": math.nan}, "deadline is nan"),
    ],
)
def test_a_request_out_of_range_is_refused_by_name(request_of, prompt, more, complaint):
    with pytest.raises(RequestRejected, match=complaint):
        admit(request_of(**{"request_id": "a", "prompt": prompt} | more), LIMITS)


def test_the_largest_values_allowed_are_allowed(request_of):
    most = SamplingParams(100.0, 10**9, 1.0, 1.0, 2**64 - 1, 20)
    request = request_of("a", [0, 49], 10**9, sampling=most, stop_token_ids=[49] * 128)
    assert admit(request, LIMITS) == LIMITS.context_length

"""What a refused call is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> tuple[int, str]:
    """(status, code) of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def refusal(call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The `Error` element of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    error: dict[str, Any] = caught.value.response["Error"]
    return error

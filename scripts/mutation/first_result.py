"""What the operator `cached` adds to a function: it always returns its first result, whatever its arguments are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

MISSING = object()


def first_result(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls `function` once."""
    result = MISSING

    @functools.wraps(function)
    def of_function(*arguments: Any, **named: Any) -> Any:
        nonlocal result
        if result is MISSING:
            result = function(*arguments, **named)
        return result

    @functools.wraps(function)
    async def of_coroutine(*arguments: Any, **named: Any) -> Any:
        nonlocal result
        if result is MISSING:
            result = await function(*arguments, **named)
        return result

    return of_coroutine if inspect.iscoroutinefunction(function) else of_function

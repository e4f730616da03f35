"""Processes beside a plugin, by the names of vcon-server's early plugins.

A process is started afresh (`spawn`): a fork of a worker would have copies of its connections and
claims. So the function and its arguments must be picklable. A process ends with its worker at the
latest, and has no connection of the service: `lib.vcon_redis` does not work in it.
"""

import asyncio
import multiprocessing
from collections.abc import Callable, Coroutine
from multiprocessing.process import BaseProcess
from typing import Any

type AsyncFunction = Callable[..., Coroutine[Any, Any, Any]]


def async_runner(func: AsyncFunction, *args: Any) -> None:
    """Run an async function to its end on a new event loop."""
    asyncio.run(func(*args))


def start_process(func: Callable[..., Any], *args: Any) -> BaseProcess:
    """Call a function in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=func, args=args, daemon=True)
    process.start()
    return process


def start_async_process(func: AsyncFunction, *args: Any) -> BaseProcess:
    """Run an async function in a process of its own."""
    return start_process(async_runner, func, *args)

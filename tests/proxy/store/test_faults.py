"""The driver's errors become ours; a bug of ours stays what it is."""

import asyncpg
import pytest

from proxy.errors import Unavailable
from proxy.store.faults import translated


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("cannot perform operation: connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_left_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable), translated():
        raise error


@pytest.mark.parametrize(
    "error", [asyncpg.InterfaceError("the number of arguments is wrong"), KeyError("ours")]
)
def test_a_bug_of_ours_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), translated():
        raise error

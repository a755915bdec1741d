"""Password hashes: the cost that was promised, the same for everybody, and never too many."""

from __future__ import annotations

import argon2
import trio

from mediaconvert.api.rest.passwords import AT_ONCE, Passwords
from mediaconvert.errors import Unavailable
from tests.program import WAIT_SECONDS


async def test_hashes_are_argon2id_with_owasps_minimum() -> None:
    found = argon2.extract_parameters(await Passwords().hash("correct horse"))
    assert found.type is argon2.Type.ID
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19 * 1024, 2, 1)


async def test_a_password_opens_its_own_hash_only() -> None:
    passwords = Passwords()
    password_hash = await passwords.hash("correct horse")
    assert password_hash != await passwords.hash("correct horse")
    assert await passwords.verify(password_hash, "correct horse")
    for wrong in ("", "correct horse ", "Correct horse", "x" * 1024):
        assert not await passwords.verify(password_hash, wrong)


async def test_text_of_any_kind_is_a_password() -> None:
    passwords = Passwords()
    for password in ("пароль🔑", "a\0b", " ", "\n"):
        password_hash = await passwords.hash(password)
        assert await passwords.verify(password_hash, password)
        assert not await passwords.verify(password_hash, password[:-1])


async def test_without_a_user_the_same_work_is_done_and_nothing_opens() -> None:
    passwords = Passwords()
    for password in ("", "correct horse"):
        assert not await passwords.verify(None, password)
    real = argon2.extract_parameters(await passwords.hash("x"))
    assert argon2.extract_parameters(passwords._nobody) == real


async def test_a_hash_that_is_none_opens_for_nobody() -> None:
    for broken in ("not a hash", "$argon2id$v=19$m=1,t=1,p=1$YQ$YQ", "$2b$12$" + "x" * 53):
        assert not await Passwords().verify(broken, "x")


async def test_a_crowd_is_turned_away_instead_of_waiting_without_end() -> None:
    passwords = Passwords()
    outcomes: list[str] = []

    async def try_one() -> None:
        try:
            await passwords.verify(None, "x")
            outcomes.append("answered")
        except Unavailable:
            outcomes.append("turned away")

    crowd = 100
    async with trio.open_nursery() as nursery:
        for _ in range(crowd):
            nursery.start_soon(try_one)
    assert outcomes.count("answered") == AT_ONCE + 64
    assert outcomes.count("turned away") == crowd - AT_ONCE - 64


async def test_hashing_leaves_the_event_loop_free() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.lowlevel.checkpoint()
            ticks += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        passwords, most = Passwords(), 0
        with trio.fail_after(WAIT_SECONDS):
            # In the loop itself a hash would let others have a turn or two, before and after.
            # One that the machine keeps from us for as long as it takes shows nothing yet.
            while most < 20:
                before = ticks
                await passwords.hash("x")
                most = max(most, ticks - before)
        nursery.cancel_scope.cancel()

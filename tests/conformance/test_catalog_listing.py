"""Objects.list and Uploads.list: order, prefixes, delimiters and going on from a page."""

from __future__ import annotations

import dataclasses
import random

import pytest

from mediaconvert.errors import BucketForbidden
from mediaconvert.model import BucketRef, ListPage, ListQuery, ObjectHeaders
from tests.conformance.worlds import World


async def _page(world: World, ref: BucketRef, query: ListQuery) -> ListPage:
    return await world.catalog.objects.list(ref, query)


def _names(page: ListPage) -> list[str]:
    return [each.key for each in page.objects]


async def test_keys_come_in_the_order_of_their_utf8_bytes(world: World) -> None:
    ref = await world.owner()
    keys = ["b", "a", "B", "é", "a/b", "a!", "\U0001f600", "\uffff", "z", "a\x00", "a\x01"]
    for key in keys:
        await world.put(ref, key)
    page = await _page(world, ref, ListQuery())
    assert _names(page) == sorted(keys, key=lambda key: key.encode())
    assert (page.common_prefixes, page.next_after) == ((), None)


async def test_a_row_tells_what_a_listing_shows(world: World) -> None:
    ref = await world.owner()
    stored = (await world.put(ref, "film.mp4", etag="abc")).object
    (row,) = (await _page(world, ref, ListQuery())).objects
    assert (row.key, row.size, row.etag) == ("film.mp4", 10, "abc")
    assert (row.storage_class, row.created_at_us) == ("STANDARD", stored.created_at_us)


async def test_replaced_and_deleted_objects_are_not_listed(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    await world.submit(ref, pipeline, "a")
    await world.submit(ref, pipeline, "b")
    await world.put(ref, "a")
    await world.delete(ref, "b")
    assert _names(await _page(world, ref, ListQuery())) == ["a"]


async def test_pages_end_where_the_next_one_begins(world: World) -> None:
    ref = await world.owner()
    for number in range(7):
        await world.put(ref, f"k{number}")
    first = await _page(world, ref, ListQuery(limit=3))
    assert (_names(first), first.next_after) == (["k0", "k1", "k2"], "k2")
    second = await _page(world, ref, ListQuery(limit=4, after="k2"))
    assert (_names(second), second.next_after) == (["k3", "k4", "k5", "k6"], None)


async def test_a_limit_of_nothing_is_an_empty_last_page(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "a/b")
    for delimiter in ("", "/"):
        page = await _page(world, ref, ListQuery(limit=0, delimiter=delimiter))
        assert page == ListPage((), (), None)


async def test_a_common_prefix_counts_once_and_is_skipped_whole(world: World) -> None:
    ref = await world.owner()
    for key in ("a", "b/1", "b/2", "b/3/x", "b0", "c/1", "d"):
        await world.put(ref, key)
    page = await _page(world, ref, ListQuery(delimiter="/", limit=2))
    assert (_names(page), page.common_prefixes, page.next_after) == (["a"], ("b/",), "b/")
    page = await _page(world, ref, ListQuery(delimiter="/", limit=2, after="b/"))
    assert (_names(page), page.common_prefixes, page.next_after) == (["b0"], ("c/",), "c/")
    page = await _page(world, ref, ListQuery(delimiter="/", limit=2, after="c/"))
    assert (_names(page), page.common_prefixes, page.next_after) == (["d"], (), None)


async def test_a_place_inside_a_common_prefix_leaves_that_prefix_out(world: World) -> None:
    ref = await world.owner()
    for key in ("b/1", "b/2", "c"):
        await world.put(ref, key)
    page = await _page(world, ref, ListQuery(delimiter="/", after="b/1"))
    assert (_names(page), page.common_prefixes) == (["c"], ())


async def test_prefix_and_delimiter_show_one_level(world: World) -> None:
    ref = await world.owner()
    for key in ("x/", "x/a", "x/y/1", "x/y/2", "x/z", "xx", "w"):
        await world.put(ref, key)
    page = await _page(world, ref, ListQuery(prefix="x/", delimiter="/"))
    assert (_names(page), page.common_prefixes) == (["x/", "x/a", "x/z"], ("x/y/",))


async def test_prefixes_at_the_end_of_unicode_have_an_end(world: World) -> None:
    ref = await world.owner()
    top = "\U0010ffff"
    keys = [top, top * 2, top + "/a", top + "/b", top * 256, "\ud7ff", "\ue000", "z" + top]
    for key in keys:
        await world.put(ref, key)
    under = sorted(key for key in keys if key.startswith(top))
    assert _names(await _page(world, ref, ListQuery(prefix=top))) == under
    page = await _page(world, ref, ListQuery(prefix=top, delimiter="/"))
    assert (_names(page), page.common_prefixes) == ([top, top * 2, top * 256], (top + "/",))
    page = await _page(world, ref, ListQuery(prefix="\ud7ff"))
    assert _names(page) == ["\ud7ff"]


async def test_anothers_bucket_is_not_listed(world: World) -> None:
    ref = await world.owner("ann")
    with pytest.raises(BucketForbidden):
        await _page(world, BucketRef(await world.user("bob"), ref.name), ListQuery())


def _expected(keys: list[str], query: ListQuery) -> ListPage:
    """The listing by its definition, over all keys."""
    items: list[tuple[str, bool]] = []
    for key in sorted(keys, key=lambda each: each.encode()):
        if not key.startswith(query.prefix):
            continue
        end = key.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
        item = (key, False) if end < 0 else (key[: end + len(query.delimiter)], True)
        if item[0] > query.after and item not in items:
            items.append(item)
    page = items[: query.limit]
    return ListPage(
        tuple(name for name, is_prefix in page if not is_prefix),  # type: ignore[misc]
        tuple(name for name, is_prefix in page if is_prefix),
        page[-1][0] if len(items) > query.limit else None,
    )


async def test_every_page_of_any_listing_is_what_its_definition_says(world: World) -> None:
    chance = random.Random(7)
    letters = ["a", "b", "/", "//", "\0", "\x01", "é", "\U0010ffff", "%"]

    def word(longest: int) -> str:
        return "".join(chance.choices(letters, k=chance.randint(0, longest)))

    user_id = await world.user()
    for round_number in range(25):
        ref = await world.bucket(user_id, f"bucket-{round_number}")
        keys = list({word(5) for _ in range(25)} - {""})
        for key in keys:
            await world.put(ref, key)
        for _ in range(8):
            query = ListQuery(
                prefix=word(2),
                delimiter=chance.choice(["", "/", "//", "é", "\0", "a/", "\U0010ffff"]),
                after=chance.choice(["", word(4)]),
                limit=chance.randint(1, 6),
            )
            await _all_pages_agree(world, ref, keys, query)


async def _all_pages_agree(world: World, ref: BucketRef, keys: list[str], query: ListQuery) -> None:
    while True:
        page = await _page(world, ref, query)
        names = ListPage(tuple(_names(page)), page.common_prefixes, page.next_after)  # type: ignore[arg-type]
        assert names == _expected(keys, query), query
        if page.next_after is None:
            return
        query = dataclasses.replace(query, after=page.next_after)


async def _begin(world: World, ref: BucketRef, key: str) -> str:
    upload = await world.catalog.uploads.create(ref, key, ObjectHeaders(), None, None, None)
    return upload.id


async def test_uploads_are_listed_by_key_and_then_by_creation(world: World) -> None:
    ref = await world.owner()
    second = await _begin(world, ref, "b")
    ids = [await _begin(world, ref, "a") for _ in range(3)]
    page = await world.catalog.uploads.list(ref, ListQuery(), "")
    assert [(each.key, each.id) for each in page.uploads] == [
        *(("a", upload_id) for upload_id in sorted(ids)),
        ("b", second),
    ]
    assert (page.next_key, page.next_upload_id) == (None, None)


async def test_uploads_of_one_key_go_on_over_pages(world: World) -> None:
    ref = await world.owner()
    ids = sorted([await _begin(world, ref, "a") for _ in range(3)])
    last = await _begin(world, ref, "b")
    uploads = world.catalog.uploads
    page = await uploads.list(ref, ListQuery(limit=2), "")
    assert [each.id for each in page.uploads] == ids[:2]
    assert (page.next_key, page.next_upload_id) == ("a", ids[1])
    # The marker keeps its place when its upload has gone.
    await uploads.abort(ref, "a", ids[1])
    page = await uploads.list(ref, ListQuery(after="a", limit=2), ids[1])
    assert [each.id for each in page.uploads] == [ids[2], last]
    assert page.next_key is None
    # A key-marker alone leaves out all uploads of the key.
    page = await uploads.list(ref, ListQuery(after="a"), "")
    assert [each.id for each in page.uploads] == [last]


async def test_uploads_are_rolled_up_and_ended_ones_left_out(world: World) -> None:
    ref = await world.owner()
    for key in ("x/1", "x/2", "x/3", "y"):
        await _begin(world, ref, key)
    gone = await _begin(world, ref, "z")
    await world.catalog.uploads.abort(ref, "z", gone)
    uploads = world.catalog.uploads
    page = await uploads.list(ref, ListQuery(delimiter="/", limit=1), "")
    assert (page.uploads, page.common_prefixes) == ((), ("x/",))
    assert (page.next_key, page.next_upload_id) == ("x/", None)
    page = await uploads.list(ref, ListQuery(delimiter="/", limit=1, after="x/"), "")
    assert ([each.key for each in page.uploads], page.common_prefixes) == (["y"], ())
    assert page.next_key is None
    page = await uploads.list(ref, ListQuery(prefix="x/", limit=0), "")
    assert (page.uploads, page.next_key) == ((), None)
    page = await uploads.list(ref, ListQuery(prefix="x/", after="w"), "")
    assert [each.key for each in page.uploads] == ["x/1", "x/2", "x/3"]

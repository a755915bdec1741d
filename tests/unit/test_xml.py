"""S3's XML: what is read, what is refused, and that keys survive both ways."""

from xml.etree import ElementTree

import pytest
from botocore.compat import unquote_str
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.s3.documents import (
    DeleteEntry,
    read,
    read_complete,
    read_delete,
    read_location,
)
from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.xml import (
    MAX_ATTRIBUTES,
    MAX_BODY_BYTES,
    MAX_DEPTH,
    NAMESPACE,
    Element,
    MalformedXml,
    escape,
    parse,
    printable,
    render,
    url_encoded,
)
from mediaconvert.model import Checksum, Conditions
from mediaconvert.multipart import ListedPart

ANY_KEY = st.text(
    st.characters(min_codepoint=1, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=20,
)


def delete_body(*keys: str) -> bytes:
    return render(Element("Delete", [Element("Object", [Element("Key", k)]) for k in keys]))


@given(st.lists(ANY_KEY, min_size=1, max_size=5))
def test_keys_survive_being_written_and_read(keys):
    assert [e.key for e in read_delete(delete_body(*keys)).entries] == keys


@given(st.characters(min_codepoint=1, max_codepoint=0x1F))
def test_control_characters_may_come_raw_or_as_references(character):
    number = ord(character)
    for written in (character, f"&#{number};", f"&#x{number:X};", f"&#x000{number:x};"):
        body = f"<Delete><Object><Key>a{written}b</Key></Object></Delete>".encode()
        # A parser makes one line feed of a raw carriage return (XML 1.0 §2.11).
        wanted = "\n" if written == "\r" else character
        assert read_delete(body).entries[0].key == f"a{wanted}b"


@pytest.mark.parametrize("character", "\ufffe\uffff")
def test_a_key_with_a_non_character_does_not_spoil_the_batch_that_deletes_it(character):
    number = ord(character)
    for written in (character, f"&#{number};", f"&#x{number:X};"):
        body = f"<Delete><Object><Key>a{written}b</Key></Object></Delete>".encode()
        assert [e.key for e in read_delete(body).entries] == [f"a{character}b"]


def test_stand_ins_of_control_characters_are_not_taken_for_them():
    private = chr(0x10FE01)
    for body in (private, "&#x10FE01;", "&#1113601;"):
        document = f"<Delete><Object><Key>{body}</Key></Object></Delete>".encode()
        assert read_delete(document).entries[0].key == private
        with pytest.raises(S3Error):
            read_delete(document.replace(b"<Key>", b"<Key>\x01"))


@given(ANY_KEY)
def test_what_is_written_is_read_alike_by_another_parser(text):
    shown = printable(text)
    document = render(Element("A", [Element("B", shown)]))
    found = ElementTree.fromstring(document).find(f"{{{NAMESPACE}}}B").text
    assert (found or "") == shown


def test_escapes_are_those_of_s3():
    assert escape('"a" & <b>\r') == "&quot;a&quot; &amp; &lt;b&gt;&#xd;"
    assert escape("\x01\x1f\t\n") == "&#x1;&#x1f;\t\n"
    assert escape("\0\ud800\uffff") == "\ufffd" * 3
    assert printable("a\x01\0\ud800b\n") == "a\ufffd\ufffd\ufffdb\n"


def test_an_answer_has_declaration_and_namespace():
    assert render(Element("A", [Element("B"), Element("C", "1", [("x", "y")])])) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<A xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><B/><C x="y">1</C></A>'
    )
    assert render(Element("A"), namespace=None).endswith(b"\n<A/>")


@given(ANY_KEY)
def test_url_encoding_is_undone_by_botocore(key):
    assert unquote_str(url_encoded(key)) == key
    assert url_encoded(key).isascii()


def test_url_encoding_leaves_what_s3_leaves():
    assert url_encoded("a/b c+d~e*f-g_h.i(j)é") == "a/b+c%2Bd%7Ee*f-g_h.i%28j%29%C3%A9"


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>
<Delete><Object><Key>&lol2;</Key></Object></Delete>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<Delete><Object><Key>&x;</Key></Object></Delete>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<Delete>",
        b"<Delete></Other>",
        b"<Delete/><Delete/>",
        b"<Other/>",
        b"<Delete/>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
        b"<Delete><Object><Key>&nbsp;</Key></Object></Delete>",
        b"<Delete><Object><Key>a\0</Key></Object></Delete>",
        b"<Delete><Object><Key>&#0;</Key></Object></Delete>",
        b"<Delete><Object><Key>&#xD800;</Key></Object></Delete>",
        b"<Delete><Object><Key>&#x99999999;</Key></Object></Delete>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b"<Delete><Quiet>maybe</Quiet><Object><Key>a</Key></Object></Delete>",
        b'<Delete xmlns="http://example.org/"><Object><Key>a</Key></Object></Delete>',
        b"<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
        BOMB,
        EXTERNAL,
        "<Delete><Object><Key>a</Key></Object></Delete>".encode("utf-16"),
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a " + b" ".join(b'x%d="1"' % n for n in range(MAX_ATTRIBUTES + 1)) + b"/>",
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
        b"<Delete>" + b"<a/>" * 100_001 + b"</Delete>",
        b" " * (MAX_BODY_BYTES + 1),
    ],
)
def test_a_bad_document_is_malformed(body):
    with pytest.raises(S3Error) as caught:
        read_delete(body)
    assert caught.value.code == "MalformedXML"
    assert caught.value.status == 400


@given(st.binary(max_size=100))
def test_any_bytes_are_parsed_or_malformed(body):
    for document in (body, b"<Delete>" + body + b"</Delete>"):
        try:
            parse(document, "Delete")
        except MalformedXml:
            continue


def test_delete_is_read_with_and_without_the_namespace():
    inner = "<Quiet>true</Quiet><Object><Key> a </Key><VersionId>null</VersionId></Object>"
    wanted = (DeleteEntry(" a ", "null"),)
    for opening in (
        "<Delete>",
        f'<Delete xmlns="{NAMESPACE}">',
        '\ufeff<?xml version="1.0" encoding="UTF-8"?><Delete>',
        '<?xml version="1.0" encoding="ISO-8859-1"?><!-- x --><Delete>',
    ):
        found = read_delete(f"{opening}{inner}</Delete>".encode())
        assert (found.entries, found.is_quiet) == (wanted, True)
    found = read_delete(b'<Delete><Object><Key>a</Key><ETag>"e"</ETag></Object></Delete>')
    assert (found.entries, found.is_quiet) == ((DeleteEntry("a", None, Conditions(("e",))),), False)


def test_text_around_comments_and_cdata_is_one_text():
    body = b"<Delete><Object><Key>a<!-- x -->b<![CDATA[<c>]]></Key></Object></Delete>"
    assert read_delete(body).entries[0].key == "ab<c>"


def test_complete_is_read():
    body = b"""<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <Part><PartNumber>1</PartNumber><ETag>"abc"</ETag></Part>
      <Part><ETag>&quot;def&quot;</ETag><PartNumber>10000</PartNumber>
        <ChecksumCRC32C>sOO8/Q==</ChecksumCRC32C></Part>
    </CompleteMultipartUpload>"""
    assert read_complete(body) == (
        ListedPart(1, "abc"),
        ListedPart(10_000, "def", Checksum("CRC32C", "sOO8/Q==")),
    )


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("", "MalformedXML"),
        ("<Part/>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
        ("<Part><PartNumber>0</PartNumber><ETag>a</ETag></Part>", "InvalidArgument"),
        ("<Part><PartNumber>10001</PartNumber><ETag>a</ETag></Part>", "InvalidArgument"),
        ("<Part><PartNumber>1000000001</PartNumber><ETag>a</ETag></Part>", "InvalidArgument"),
        ("<Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>", "InvalidArgument"),
        ("<Part><PartNumber>²</PartNumber><ETag>a</ETag></Part>", "InvalidArgument"),
        (
            "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>a</ChecksumCRC32>"
            "<ChecksumSHA1>a</ChecksumSHA1></Part>",
            "MalformedXML",
        ),
    ],
)
def test_a_bad_part_list_is_refused(part, code):
    with pytest.raises(S3Error) as caught:
        read_complete(f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode())
    assert caught.value.code == code


def test_ten_thousand_parts_are_read_and_one_more_is_not():
    part = (
        f"<Part><PartNumber>1</PartNumber><ETag>{'a' * 32}</ETag>"
        f"<ChecksumSHA256>{'A' * 44}</ChecksumSHA256></Part>"
    )
    whole = "<CompleteMultipartUpload>{}</CompleteMultipartUpload>"
    assert len(read_complete(whole.format(part * 10_000).encode())) == 10_000
    with pytest.raises(S3Error, match="at most 10000"):
        read_complete(whole.format(part * 10_001).encode())


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"", None),
        (b" \n", None),
        (b"<CreateBucketConfiguration/>", None),
        (
            b"<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>",
            None,
        ),
        (
            b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>"
            b"</CreateBucketConfiguration>",
            "eu-west-1",
        ),
    ],
)
def test_a_location_constraint_is_read(body, location):
    assert read_location(body) == location


def test_attributes_lose_their_namespace():
    body = b'<A xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><G xsi:type="Group">x</G></A>'
    assert read(body, "A").child("G").attributes == (("type", "Group"),)

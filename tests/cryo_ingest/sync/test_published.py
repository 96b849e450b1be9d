"""What a listing shows of a stream: only ranges with a manifest and all files are complete."""

from support.jobs import keys_of, listing, make_stream

from cryo_ingest.sync.published import Published, published_in

STREAM = make_stream()


def test_lay_5_a_range_with_its_manifest_and_all_files_is_complete():
    """LAY-5: complete ranges come in block order, not in that of the keys."""
    keys = [key for blocks in ((10_000, 12_500), (0, 1000), (9000, 10_000)) for key in keys_of(STREAM, blocks)]
    assert published_in(listing(*keys), STREAM) == Published(((0, 1000), (9000, 10_000), (10_000, 12_500)))


def test_a_range_without_its_manifest_or_a_file_is_unfinished():
    """Such a range was begun by an attempt and is not published."""
    no_manifest, no_file = keys_of(STREAM, (0, 2000))[:-1], keys_of(STREAM, (2000, 4000))[1:]
    found = published_in(listing(*no_manifest, *no_file), STREAM)
    assert found == Published(unfinished=((0, 2000), (2000, 4000)))


def test_an_empty_file_is_not_a_part_of_a_range():
    """A Parquet file is never empty."""
    *files, manifest = keys_of(STREAM, (0, 1000))
    found = published_in(listing(manifest) | listing(*files, size_bytes=0), STREAM)
    assert found == Published(unfinished=((0, 1000),))


def test_versions_of_another_config_and_strange_keys_are_counted():
    """They are neither published by this stream nor a reason to fail."""
    other = keys_of(STREAM, (0, 1000), config_hash="v2")
    strange = [STREAM.prefix + name for name in ("x", "0_0/v/f", "01_2/v/f", "0_5/v/deeper/f", "0_5/f")]
    assert published_in(listing(*other, *strange), STREAM) == Published(other_versions=1, strays=5)

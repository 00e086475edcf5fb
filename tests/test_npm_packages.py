"""Packages of npm: unpacked where the checksum is right, else refused."""

import hashlib
import io
import tarfile
from base64 import b64encode

import pytest

from ptq.npm_packages import NpmError, Package, fetch, open_archive, read

WARNED = "echo 'npm warn old\nnpm warn slow\nnpm error 404' >&2; exit 1"
UNKNOWN = Package("tiny", "1.0.0", "another checksum")


@pytest.fixture
def packed(tmp_path):
    """An archive as npm packs them, and what ought to be in it."""
    path = tmp_path / "tiny-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/tiny.js")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"tiny("))
    digest = hashlib.sha512(path.read_bytes()).digest()
    return path, Package("tiny", "1.0.0", b64encode(digest).decode())


def test_a_package_is_fetched_and_read(npm, packed):
    path, package = packed
    npm(f'test "$package" = tiny@1.0.0 && cp {path} "$folder"')
    with fetch(package) as archive:
        assert read(archive, "dist/tiny.js") == b"tiny("


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo npm error ENOTFOUND >&2; exit 1", "npm error ENOTFOUND"),
        # What npm warns of first is seldom the reason.
        (WARNED, "failed: npm error 404"),
        ("exit 1", "tiny@1.0.0"),
        ("true", "tiny"),
        ('echo x > "$folder/tiny-1.0.0.tgz"', "SHA-512"),
    ],
)
def test_failures_are_told(npm, body, said):
    npm(body)
    with pytest.raises(NpmError, match=said):
        fetch(UNKNOWN)


def test_an_archive_of_another_checksum_is_named_and_not_opened(packed):
    path, _ = packed
    with pytest.raises(NpmError, match=f"{path}.*SHA-512"):
        open_archive(path, UNKNOWN)

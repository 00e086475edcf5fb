"""Pages about the run that made the book: machine, versions, times, citing.

Every number on them comes from the manifest.
"""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import yaml

from ptq import paths
from ptq.book.pages import engine_pages
from ptq.book.show import captioned
from ptq.evidence import intervals
from ptq.experiment import committed_sweeps, interval_coverage

FACTS = {
    "processor": "processor",
    "architecture": "architecture",
    "features": "instruction sets that matter here",
    "torch_capability": "what torch makes of them",
    "cores": "cores",
    "system": "system",
    "load": "load when the run began (processes, one-minute mean)",
    "python": "Python",
}


def write(run_folder: Path, target: Path) -> None:
    """Write what the pages include into ``target``, from a run's manifest.

    ``machine.md``, ``cite.md``, ``parity.md`` and ``bar.md`` are MyST,
    ``seconds.json`` maps a chapter to its seconds.
    """
    manifest = json.loads((run_folder / paths.MANIFEST).read_text())
    chapters = manifest["chapters"]
    seconds = {name: chapters[name]["seconds"] for name in sorted(chapters)}
    paths.write_whole(target / "machine.md", machine_page(manifest))
    paths.write_whole(target / "cite.md", citation(manifest))
    paths.write_whole(target / "parity.md", engine_pages.parity_page())
    paths.write_whole(target / "bar.md", engine_pages.bar_page())
    paths.write_whole(target / "seconds.json", json.dumps(seconds) + "\n")


def machine_page(manifest: dict) -> str:
    """MyST tables of the machine, the chapters' times, and the versions."""
    found = manifest["versions"].items()
    versions = pd.DataFrame(found, columns=["package", "version"])
    return "\n".join(
        (
            _machine(manifest["machine"]),
            _times(manifest),
            _sweeps(),
            _coverage(),
            captioned(versions, "versions", "The packages that ran."),
        )
    )


def citation(manifest: dict) -> str:
    """A sentence and a BibTeX entry of CITATION.cff and of this run."""
    cff = yaml.safe_load((paths.REPOSITORY / "CITATION.cff").read_text())
    authors = " and ".join(author["name"] for author in cff["authors"])
    finished = max(c["finished"] for c in manifest["chapters"].values())
    day = date.fromisoformat(finished[:10])
    found = {c["commit"] for c in manifest["chapters"].values()}
    commits = ", ".join(sorted(found))
    edition = f"version {cff['version']}, computed from commit {commits}"
    return (
        f"> {authors}. *{cff['title']}*. Software, {edition}, "
        f"{day.year}.\n\n"
        "```bibtex\n"
        "@software{ptqbook,\n"
        f"  author  = {{{{{authors}}}}},\n"
        f"  title   = {{{cff['title']}}},\n"
        f"  version = {{{cff['version']}}},\n"
        f"  year    = {{{day.year}}},\n"
        f"  month   = {{{day.month}}},\n"
        f"  note    = {{computed from commit {commits}}},\n"
        "}\n```\n"
    )


def _machine(machine: dict) -> str:
    rows = {title: machine[key] for key, title in FACTS.items()}
    texts = [
        ", ".join(v) if isinstance(v, list) else str(v) for v in rows.values()
    ]
    frame = pd.DataFrame({"": list(rows), "found": texts})
    return captioned(frame, "machine", "The machine that measured.")


def _times(manifest: dict) -> str:
    chapters = manifest["chapters"]
    rows = [
        {
            "chapter": f"{{doc}}`/book/chapters/{name}`",
            "seconds": f"{found['seconds']:.1f}",
            "finished (UTC)": found["finished"][:16].replace("T", " "),
            "commit": f"`{found['commit']}`",
        }
        for name, found in sorted(chapters.items())
    ]
    total = sum(chapter["seconds"] for chapter in chapters.values())
    given = ", ".join(
        f"{name} {value}"
        for name, value in manifest["parameters"].items()
        if value != "" and name != "run_dir"
    )
    return captioned(
        pd.DataFrame(rows),
        "run-times",
        f"Time from a chapter's start to its end, {total / 60:.1f} minutes "
        f"in all; parameters: {given or 'the defaults'}.",
    )


def _sweeps() -> str:
    rows = []
    for name in committed_sweeps.NAMES:
        _, kept = committed_sweeps.load(name)
        rows.append(
            {
                "sweep": name,
                "points": f"{kept['points']:,}",
                "worker hours": f"{kept['seconds'] / 3600:.1f}",
                "measured": kept["measured"],
                "commit": f"`{kept['commit']}`",
                "processor": kept["machine"]["processor"],
            }
        )
    path = paths.REFERENCE / committed_sweeps.OVERHEAD
    found = json.loads(path.read_text())
    return captioned(
        pd.DataFrame(rows),
        "sweeps",
        "The sweeps whose tables are committed with the book. Besides its "
        f"chapters a sweep costs {found['milliseconds']:.0f} ms a point, "
        f"over {found['points']:,} trivial points with {found['workers']} "
        f"local workers ({found['measured']}, {found['processor']}).",
    )


def _coverage() -> str:
    found = json.loads(interval_coverage.FILE.read_text())
    real = found["real"]
    counted = {
        f"simulated, {name}, equal networks": row
        for name, row in found["simulated"].items()
    }
    counted["this kind of machine, equal networks"] = real["equal"]
    counted["this kind of machine, twice the work"] = real["twice"]
    rows = [
        {
            "clock and pair": name,
            "results": str(row["trials"]),
            "next session inside (%)": _share(row, "inside"),
            "called faster or slower (%)": _share(row, "judged"),
        }
        for name, row in counted.items()
    ]
    return captioned(
        pd.DataFrame(rows),
        "coverage",
        "How often the interval of a speed-up holds the ratio of the next "
        "session, and how often a verdict is given (95 % intervals of the "
        "shares). Of equal networks none should be called faster or slower; "
        "of a network and one with twice its work, all. Real results are of "
        f"{found['measured']}, {found['machine']['processor']}, each by a "
        f"process of its own; in {real['busy']} of "
        f"{real['equal']['trials'] + 1} the machine was busy.",
    )


def _share(row: dict, what: str) -> str:
    return f"{100 * intervals.wilson(row[what], row['trials']):.1f}"

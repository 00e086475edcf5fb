"""Readings of instruments side by side, as the chapter on faults has them."""


def rows(
    columns: dict[str, tuple[dict, str]], what: str = "layer"
) -> list[dict[str, str]]:
    """A row for each name that a reading has; "–" where a column has none.

    ``columns`` holds readings by name, and the format that writes one
    ("{:.1f}", "{0.share:.2f}"); ``what`` is the title of the names. The
    order is that of the longest column.
    """
    longest = max((found for found, _ in columns.values()), key=len)
    return [
        {what: name}
        | {
            title: form.format(found[name]) if name in found else "–"
            for title, (found, form) in columns.items()
        }
        for name in longest
    ]

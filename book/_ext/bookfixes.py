"""Small repairs of the built pages."""


def drop_repeated_scripts(app, page, template, context, doctree):
    """Sphinx 7.4 emits inline scripts twice, which fails in the browser."""
    seen, kept = set(), []
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        key = (
            getattr(script, "filename", script) or "",
            tuple(sorted(attributes.items())),
        )
        if key not in seen:
            seen.add(key)
            kept.append(script)
    context["script_files"] = kept


def setup(app):
    app.connect("html-page-context", drop_repeated_scripts, priority=950)
    return {"version": "1", "parallel_read_safe": True}

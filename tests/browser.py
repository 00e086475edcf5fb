"""A real browser for the tests: started, given a page, asked about it."""

import functools
import http.server
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A browser asks its maker for this and that; the tests count requests.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# Explorers are drawn after the page has loaded; images further down, and
# those of the other theme, when somebody gets there.
LOADED = """() => {
    for (const image of document.images) image.loading = "eager";
    return document.readyState === "complete"
        && [...document.images].every(image => image.complete)
        && (!document.querySelector("script[type*='widget-view']")
            || document.querySelector(".jupyter-widgets"));
}"""
# And so are formulas set.
READY = f"""() => ({LOADED})()
    && (!document.querySelector(".math")
        || document.querySelector("mjx-container"))"""
PLACES = """() => [...document.querySelectorAll("h1, h2, h3, figcaption")]
    .map(element => element.getBoundingClientRect().top)"""
OBSERVE = """new PerformanceObserver(list => {
    for (const shift of list.getEntries())
        window.shift = (window.shift ?? 0) + shift.value;
}).observe({type: "layout-shift", buffered: true});"""
LOOK = """() => ({
    width: document.documentElement.scrollWidth,
    room: window.innerWidth,
    theme: document.documentElement.dataset.theme,
    paper: getComputedStyle(document.body).backgroundColor,
    shift: window.shift ?? 0,
    images: [...document.querySelectorAll("article img")]
        .filter(image => !image.closest(".widget-subarea"))
        .map(image => ({
            source: image.getAttribute("src"),
            stated: image.getAttribute("width")
                / image.getAttribute("height"),
            real: image.naturalWidth / image.naturalHeight,
        })),
})"""
UNFOLD = """async () => {
    for (const fold of document.querySelectorAll("details"))
        fold.open = true;
    for (const frame of [1, 2, 3])
        await new Promise(go => requestAnimationFrame(go));
}"""
BOXES = """() => [...document.querySelectorAll(
    ".bd-article :is(.pst-scrollable-table-container, .drawing, " +
    "div.math > mjx-container, pre, span.math)"
// A formula in a line of text cannot scroll.
)].filter(box => box.tagName !== "SPAN"
    || box.querySelector("svg").getBoundingClientRect().right
        > box.getBoundingClientRect().right + 2
    && getComputedStyle(box).overflow === "hidden"
).map(box => {
    const whole = box.closest("div.math") ?? box;
    // A button to copy may stand between.
    const after = whole.nextElementSibling?.matches(".copybtn")
        ? whole.nextElementSibling : whole;
    const cue = [whole.previousElementSibling, after.nextElementSibling]
        .find(element => element?.matches(".scroll-cue"));
    const edge = box.getBoundingClientRect().right;
    return {
        what: `${box.className} ${whole.textContent.trim().slice(0, 40)}`,
        code: box.tagName === "PRE",
        table: box.querySelector("table")?.className ?? "",
        room: box.clientWidth,
        width: box.scrollWidth,
        cue: cue?.checkVisibility() && cue.innerText.includes("scrolls"),
        role: box.role,
        label: box.ariaLabel,
        stop: box.tabIndex,
        header: box.querySelector("thead")?.offsetHeight ?? 0,
        beyond: [...box.querySelectorAll("th, td")].filter(cell =>
            cell.getBoundingClientRect().right > edge + 1).length,
        broken: [...box.querySelectorAll("code .pre")].filter(word =>
            word.getClientRects().length > 1).map(word => word.innerText),
        first: [...box.querySelectorAll("tr > :first-child")].map(cell => [
            getComputedStyle(cell).backgroundColor,
            getComputedStyle(cell.parentElement).backgroundColor,
        ]),
    };
})"""
AXE = """async tags => {
    document.querySelectorAll("details").forEach(d => { d.open = true; });
    const found = await axe.run(document, {
        runOnly: tags,
        rules: {"target-size": {enabled: true}},
        resultTypes: ["violations"],
        // No rule that runs here needs sheets or media a second time.
        preload: false,
    });
    return found.violations
        .filter(v => ["serious", "critical"].includes(v.impact))
        .map(v => [v.id, v.nodes.map(node => node.html.slice(0, 200))]);
}"""


def launch(playwright):
    """Start the machine's Chromium or Chrome; None where there is none."""
    own = playwright.chromium.executable_path
    found = [*map(shutil.which, NAMES), own if Path(own).exists() else None]
    path = next(filter(None, found), None)
    return path and playwright.chromium.launch(
        executable_path=path, args=list(OPTIONS)
    )


@contextmanager
def serve(folder: Path):
    """The address at which a folder is served, as http.server does."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def end_headers(self):
            # As GitHub Pages: what pages share is asked for once.
            self.send_header("Cache-Control", "max-age=600")
            super().end_headers()

    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def look(page) -> list[dict]:
    """What of a page may be wider than it, as it is laid out now."""
    page.evaluate(UNFOLD)
    return page.evaluate(BOXES)


def on_paper(page) -> list[dict]:
    """The same on a sheet of A4."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    found = page.evaluate(BOXES)
    page.emulate_media(media="screen")
    return found


@dataclass
class Visit:
    """What was seen when a page was loaded."""

    url: str
    scheme: str
    width: int
    requests: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    look: dict = field(default_factory=dict)
    boxes: list = field(default_factory=list)
    paper: list = field(default_factory=list)
    findings: list | None = None

    @property
    def outside(self) -> list:
        """Requests to somewhere else than the site."""
        home = urlsplit(self.url)[:2]
        return [
            url
            for url in self.requests
            if not url.startswith(("data:", "blob:"))
            and urlsplit(url)[:2] != home
        ]


class Tab:
    """One page of the browser, in one colour scheme and of one width."""

    def __init__(self, browser, scheme="light", width=1280, axe=None):
        self.scheme, self.width, self.axe = scheme, width, axe
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}
        )
        # Slow machines are busy, not broken.
        self.context.set_default_timeout(180_000)
        self.context.add_init_script(OBSERVE)
        self.page = self.context.new_page()
        self.page.on("request", lambda r: self.now.requests.append(r.url))
        self.page.on("requestfailed", lambda r: self._error(r.url))
        self.page.on("response", self._response)
        self.page.on("pageerror", lambda e: self._error(str(e)))
        self.page.on(
            "console",
            lambda m: m.type == "error" and self._error(m.text),
        )

    def visit(self, url: str) -> Visit:
        """Load a page and look at it; by axe, too, where there is one."""
        self.now = Visit(url, self.scheme, self.width)
        self.page.goto(url)
        self.page.wait_for_function(READY)
        self.now.look = self.page.evaluate(LOOK)
        if self.axe:
            self.page.evaluate(self.axe)
            self.now.findings = self.page.evaluate(AXE, WCAG)
        return self.now

    def measure(self, url: str) -> Visit:
        """Visit a page, and see what of it may be wider; then on paper."""
        seen = self.visit(url)
        seen.boxes = look(self.page)
        if self.width == 390:
            seen.paper = on_paper(self.page)
            self.page.set_viewport_size({"width": 390, "height": 900})
        return seen

    def _error(self, text):
        self.now.errors.append(text)

    def _response(self, response):
        if response.status >= 400:
            self._error(f"{response.status} {response.url}")


def boxes(page):
    """The explorers of a page, once they have been drawn."""
    page.locator(
        ".ptq-explorer .noUi-handle, .ptq-explorer select"
    ).first.wait_for()
    return page.locator(".ptq-explorer").all()


def inputs(box):
    """Handles of the sliders and lists of an explorer, in their order."""
    return box.locator(".noUi-handle, select").all()


def is_list(control) -> bool:
    """Whether a control is a list, not a slider."""
    return control.evaluate("e => e.tagName") == "SELECT"


def seen(box) -> str:
    """The drawing and its sentence, as a reader has them."""
    shown = box.locator(".ptq-frames .widget-html:visible")
    assert shown.count() == 1
    return shown.inner_html()


def settle(page) -> None:
    """Wait for what a change sets off: it is seen in the next frame."""
    page.evaluate(
        "() => new Promise(go => requestAnimationFrame("
        "() => requestAnimationFrame(go)))"
    )


def press(page, control, *keys: str) -> None:
    """Move a control by the keyboard alone."""
    control.focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page)

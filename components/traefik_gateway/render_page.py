"""A static page of all routes of a gateway, guest by guest: readable without scripts, also on paper."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from .findings import Finding, Level
from .lint import Prediction
from .plugin import PredictedRouter, PredictedService

__all__ = ["routes_page"]

_STYLE: Final = """\
:root{color-scheme:light dark;--line:light-dark(#d4d4d8,#3f3f46);--soft:light-dark(#f4f4f5,#27272a);
--quiet:light-dark(#52525b,#a1a1aa);--error:light-dark(#b91c1c,#f87171);--warning:light-dark(#a16207,#facc15)}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem;font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0}h2{font-size:1.2rem;margin:2.2rem 0 .5rem}
p.sum{color:var(--quiet);margin:.2rem 0 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.45rem .7rem;border-bottom:1px solid var(--line)}
thead th{background:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:600}
code{font:.9em ui-monospace,monospace;overflow-wrap:break-word}
ul{margin:.6rem 0;padding-left:1.2rem}
.error{color:var(--error)}.warning{color:var(--warning)}
.none{color:var(--quiet)}
@media print{body{max-width:none}a{color:inherit}}
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def routes_page(prediction: Prediction, title: str) -> str:
    """Write the page. Texts of labels are escaped; only ``http`` and ``https`` addresses become links (TPX-247)."""
    guests = sorted({router.guest for router in prediction.routers} | _told(prediction.findings))
    common = [finding for finding in prediction.findings if not finding.where]
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="sum">{_summary(prediction, len(guests))}</p>',
        *_findings(common),
    ]
    for guest in guests:
        parts += _guest(guest, prediction)
    if not guests:
        parts.append('<p class="none">No guest publishes anything.</p>')
    return "\n".join([*parts, "</body>", "</html>", ""])


def _told(findings: Iterable[Finding]) -> set[str]:
    return {finding.where for finding in findings if finding.where}


def _summary(prediction: Prediction, guests: int) -> str:
    grave = sum(finding.level is Level.ERROR for finding in prediction.findings)
    light = sum(finding.level is Level.WARNING for finding in prediction.findings)
    counts = ((guests, "guest"), (len(prediction.routers), "route"), (grave, "error"), (light, "warning"))
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)


def _guest(guest: str, prediction: Prediction) -> list[str]:
    routers = [router for router in prediction.routers if router.guest == guest]
    servers = {service.name: service for service in prediction.services if service.guest == guest}
    findings = [finding for finding in prediction.findings if finding.where == guest]
    parts = ["<section>", f"<h2>{escape(guest)}</h2>"]
    if routers:
        heads = ("Route", "Answers at", "Rule", "Leads to", "Entry points", "Priority")
        parts += [
            '<div class="wide">',
            "<table>",
            "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>",
            "<tbody>",
            *(_row(router, servers) for router in routers),
            "</tbody>",
            "</table>",
            "</div>",
        ]
    else:
        parts.append('<p class="none">No routes.</p>')
    return [*parts, *_findings(findings), "</section>"]


def _row(router: PredictedRouter, servers: dict[str, PredictedService]) -> str:
    known = [servers[name].url for name in router.services if name in servers]
    service = " or ".join(escape(name) for name in router.services)
    points = ", ".join(name.strip() for name in router.entrypoints) or "all"
    cells = (
        "<br>".join(_link(url) for url in router.urls) or '<span class="none">see the rule</span>',
        f"<code>{escape(router.rule)}</code>",
        "<br>".join([service, *(f"<code>{escape(url)}</code>" for url in known)]),
        escape(f"{points} (TLS)" if router.tls else points),
        str(router.priority),
    )
    return f'<tr><th scope="row">{escape(router.name)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _link(url: str) -> str:
    shown = escape(url)
    return f'<a href="{shown}" rel="noreferrer">{shown}</a>' if url.startswith(("https://", "http://")) else shown


def _findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    items = [
        f'<li><span class="{finding.level}">{str(finding.level).title()}</span> '
        f"{f'<code>{escape(finding.label)}</code>: ' if finding.label else ''}{escape(finding.message)} "
        f'<span class="none">({escape(finding.id)})</span></li>'
        for finding in findings
    ]
    return ["<ul>", *items, "</ul>"]

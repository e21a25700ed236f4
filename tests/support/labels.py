"""Containers as an inspection finds them, among them the pair of the worked example (section 9 of the requirements)."""

from __future__ import annotations

from collections.abc import Mapping

from components.traefik_gateway import Container

ROUTERS = "traefik.http.routers."
SERVICES = "traefik.http.services."
MIDDLEWARES = "traefik.http.middlewares."


def application(name: str, rule: str = "", port: str = "80", **router: str) -> Container:
    """An enabled container with one router and one service of its own name; further options of the router."""
    options = {"rule": rule or f"Host(`{name}.example.test`)", "entrypoints": "websecure", "tls": "true"} | router
    labels = {f"{ROUTERS}{name}.{option.replace('_', '.')}": value for option, value in options.items() if value}
    return container(name, labels | {f"{SERVICES}{name}.loadbalancer.server.port": port})


def container(name: str, labels: Mapping[str, str]) -> Container:
    """An enabled container with these labels."""
    return Container(name, {"traefik.enable": "true", **labels})


def example() -> list[Container]:
    """The containers of the worked example: 14 and 12 labels."""
    return [
        _example("mash-miniflux", "Host(`home.example.test`) && PathPrefix(`/miniflux`)", "8080", slash=True),
        _example("mash-homarr", "Host(`home.example.test`)", "7575", slash=False),
    ]


def _example(name: str, rule: str, port: str, *, slash: bool) -> Container:
    header = f"{MIDDLEWARES}{name}-hdr.headers.customresponseheaders."
    redirect = {
        f"{MIDDLEWARES}{name}-slash.redirectregex.regex": "^(/miniflux)$",
        f"{MIDDLEWARES}{name}-slash.redirectregex.replacement": "${1}/",
    }
    labels = {
        "traefik.docker.network": name,
        **(redirect if slash else {}),
        f"{header}X-XSS-Protection": "1; mode=block",
        f"{header}X-Content-Type-Options": "nosniff",
        f"{header}Permissions-Policy": "interest-cohort=()",
        f"{ROUTERS}{name}.rule": rule,
        f"{ROUTERS}{name}.service": name,
        f"{ROUTERS}{name}.middlewares": f"{name}-slash,{name}-hdr" if slash else f"{name}-hdr",
        f"{ROUTERS}{name}.entrypoints": "web-secure",
        f"{ROUTERS}{name}.tls": "true",
        f"{ROUTERS}{name}.tls.certResolver": "default",
        f"{SERVICES}{name}.loadbalancer.server.port": port,
    }
    return container(name, labels)

# SPDX-License-Identifier: Apache-2.0
"""Builders for weir's YAML. The schema's spelling stands here and nowhere else in the tests.

Plain dictionaries and lists go in; `to_yaml` writes them in block style with every text quoted, so that what a
test means never depends on YAML's own typing.
"""


def _scalar(value):
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if text and text[0].isalnum() and all(c.isalnum() or c in "_-./" for c in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def to_yaml(value, indent=0):
    pad = "  " * indent
    lines = []
    if isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, (dict, list)) and child:
                lines += [f"{pad}{key}:", to_yaml(child, indent + 1)]
            elif isinstance(child, dict):
                lines.append(f"{pad}{key}: {{}}")
            elif isinstance(child, list):
                lines.append(f"{pad}{key}: []")
            else:
                lines.append(f"{pad}{key}: {_scalar(child)}")
    else:
        for child in value:
            if isinstance(child, (dict, list)) and child:
                nested = to_yaml(child, indent + 1)
                lines.append(f"{pad}- {nested.lstrip()}")
            else:
                lines.append(f"{pad}- {'{}' if child == {} else _scalar(child)}")
    return "\n".join(lines)


def chain(*maps, **more):
    """One map out of several, later keys first served; None drops a key."""
    result = {}
    for part in (*maps, more):
        result.update(part)
    return {key: value for key, value in result.items() if value is not None}


def match(action, path=None, host=None, method=None):
    keys = chain(path=path, host=host, method=method)
    return {"match": keys, **action} if keys else action


def proxy(target, **keys):
    """target: an upstream's name or `http://HOST:PORT`; path=, host=, method= narrow the route."""
    return match({"proxy": target}, **keys)


def static(root, index=None, path=None, host=None, **settings):
    return match({"static": chain({"root": root}, index=index, **settings)}, path=path, host=host)


def respond(status=200, body=None, type=None, **keys):  # noqa: A002  the key's own name
    return match({"respond": chain({"status": status}, body=body, type=type)}, **keys)


def redirect(to, status=None, **keys):
    return match({"redirect": chain({"to": to}, status=status)}, **keys)


def http_listener(bind, routes, certificate=None, **settings):
    """bind: a port of 127.0.0.1, or any address text; certificate: a name under tls.certificates."""
    tls = {"certificates": [certificate]} if certificate else None
    return chain({"bind": address(bind)}, tls=tls, **settings, routes=routes)


def tcp_listener(bind, target, **settings):
    return chain({"bind": address(bind), "protocol": "tcp"}, **settings, routes=[{"proxy": target}])


def echo_listener(bind, **settings):
    return chain({"bind": address(bind), "protocol": "echo"}, echo=settings or None)


def address(bind):
    return f"127.0.0.1:{bind}" if isinstance(bind, int) else str(bind)


def upstream(*servers, **settings):
    """servers: ports of 127.0.0.1 or address texts. Limits are short: the tests wait for them."""
    limits = {"connect_timeout": "2s", "response_timeout": "2s"}
    return chain({"servers": [address(s) for s in servers]}, limits, **settings)


def config(listeners, upstreams=None, certificates=None, plugins=None, **sections):
    """certificates: {name: (certificate path, key path)}."""
    tls = None
    if certificates:
        tls = {"certificates": {name: {"certificate": crt, "key": key}
                                for name, (crt, key) in certificates.items()}}
    if plugins is None and any(one.get("protocol") == "echo" for one in listeners.values()):
        plugins = {"echo": {}}
    return chain({"version": 1}, plugins=plugins, tls=tls, upstreams=upstreams, listeners=listeners, **sections)


def app(port, *servers, listener=None, **settings):
    """The usual one: listener `web` on port, every request to upstream `app`."""
    return config({"web": http_listener(port, [proxy("app")], **(listener or {}))},
                  {"app": upstream(*servers, **settings)})

"""The local plugin for `pulumi_kubernetes`: any kind a real API server has, by server-side apply.

``kubeconfig`` and ``client`` reach the server, ``discovery`` turns a token into a kind, ``manifest`` turns inputs into
an object, ``fields`` compares an object with what we manage of it, ``replacement`` knows what cannot be changed in
place, ``readiness`` when an object is usable, and ``handler`` puts them together. Only server-side apply is supported;
Helm, Kustomize, YAML components and Patch resources are refused by name.
"""

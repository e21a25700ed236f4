"""Local provider plugins: executables which serve a Pulumi provider's resources on a real backend.

They stand in for the official plugins where those cannot be had, and promise the same program semantics: the same
tokens, the same properties (checked against the installed official Python SDK), the same ids. A program cannot tell
which one it has. Each is started by the engine as ``python -m toolchain.plugins.<name>``.
"""

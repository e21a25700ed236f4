"""The recovery of volumes into a working Longhorn: what is to be done is decided here, by pure functions over facts.

Importing this package imports nothing else; its parts are imported by name.
"""

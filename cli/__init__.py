"""The command line `./factory`."""

"""Local plugin for the package ``pulumi_command``: commands on this machine and over SSH, files to a remote host."""

"""What can be built: one folder per capability, every component resource lives here.

The folder is also shipped as the wheel ``factory_homelab``; nothing in it imports the rest of the project.
"""

"""The notes of the guests of one cluster: everything is in the stack's configuration."""

import pulumi
from factory_homelab.traefik_gateway import ProxmoxNotes, ProxmoxNotesArgs

config = pulumi.Config()
notes = ProxmoxNotes(
    "notes",
    ProxmoxNotesArgs.model_validate(config.require_object("notes")),
    token_secret=config.require_secret("tokenSecret"),
)
pulumi.export("routes", notes.routes)
pulumi.export("labels", notes.labels)
pulumi.export("warnings", notes.warnings)

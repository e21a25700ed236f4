"""The plugin: which resources and functions it serves."""

from toolchain.plugins.kit import Backend, Failure, InputTypes, Properties, Provider, by_token

from .copying import CopyToRemote
from .local import LocalCommand, Processes, run
from .remote import RemoteCommand, Ssh


class CommandProvider(Provider):
    """The provider of ``pulumi_command``; it has no configuration."""

    package = "pulumi_command"
    types = InputTypes("pulumi_command")

    def __init__(self) -> None:
        self._processes = Processes()
        self._ssh = Ssh()

    def check_config(self, config: Properties) -> list[Failure]:
        """Accept: there is nothing to configure."""
        del config
        return []

    def configure(self, config: Properties) -> Backend:
        """Return the resources and the function."""
        del config
        return Backend(
            by_token(
                {
                    "command:local:Command": LocalCommand(self._processes),
                    "command:remote:Command": RemoteCommand(self._ssh),
                    "command:remote:CopyToRemote": CopyToRemote(self._ssh),
                }
            ),
            {"command:local:run": lambda context, arguments: run(self._processes, context, arguments)},
        )

    def close(self) -> None:
        """End the commands which still run, with everything they started."""
        self._processes.end_all()

"""Programs on this machine end, and their pipes with them, whatever was read of them."""

import asyncio
import gc

from components.host.transport_local import LocalTransport


def test_output_that_nobody_reads_keeps_no_pipe_open() -> None:
    async def started_and_closed() -> None:
        transport = LocalTransport()
        channel = await transport.start("head -c 4000000 /dev/zero")
        await channel.receive()
        channel.kill()
        await transport.close()

    asyncio.run(started_and_closed())
    gc.collect()  # a pipe that is still open is an error then

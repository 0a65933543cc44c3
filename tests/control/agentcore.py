"""The operations of the AgentCore API without HTTP: inputs and outputs are held against the service model."""

import os
from dataclasses import replace

from control.house import target
from portico.control.access import Caller
from portico.control.api.offered import OFFERED
from portico.control.changes import changes_of
from portico.control.operations.context import OperationContext
from portico.control.quotas import Quotas
from portico.control.relaxations import RELAXED, Ground
from portico.control.shapes import check_shape
from portico.net.egress import Egress
from portico.storage.schema import DEFAULT_ACCOUNT

PUBLIC_URL = "https://portico.example"
GATEWAY = {
    "name": "Tools",
    "roleArn": "arn:aws:iam::123456789012:role/portico",
    "protocolType": "MCP",
    "authorizerType": "NONE",
}
TOKEN = "a-client-token-of-at-least-33-characters"
CALLER = Caller(access_key_id="PORTICO0000000000001", name="ops", role="administrator")
EMPTY_LIST = "credentialProviderConfigurations"  # required of an answer, and AWS's shape has no word for none
#: The members of CreateGateway(Target) with a loopback endpoint allowed, as a developer's machine has it.
LOCAL = {"allowPrivateAddresses": True}


def server(**members):
    return {"mcp": {"mcpServer": {"endpoint": "https://calc.example/mcp"} | members}}


class Api:
    """Calls operations as one caller."""

    def __init__(self, database, keyring, clock, *, quotas=None, caller=CALLER, extension=None):
        self.database = database
        self.keyring = keyring
        self.clock = clock
        self.quotas = quotas or Quotas()
        self.caller = caller
        self.extension = extension or {}
        self.requests = 0
        self.name = "r"  #: of its requests

    def bounded(self, **quotas):
        """The same API with other quotas."""
        other = Api(self.database, self.keyring, self.clock, quotas=replace(self.quotas, **quotas))
        other.extension = self.extension
        return other

    def context(self):
        self.requests += 1
        request_id = f"{self.name}-{self.requests}"
        return OperationContext(
            database=self.database,
            keyring=self.keyring,
            ground=Ground(public_url=PUBLIC_URL),
            egress=Egress(),
            account=DEFAULT_ACCOUNT,
            region="us-east-1",
            quotas=self.quotas,
            caller=self.caller,
            request_id=request_id,
            now=int(self.clock()),
            random=os.urandom,
            fetcher=None,
            changes=changes_of(self.caller, request_id, clock=self.clock),
            target_extension=self.extension,
        )

    async def __call__(self, operation, **request):
        assert [str(fault) for fault in check_shape(f"{operation}Request", request, relaxed=RELAXED)] == []
        output = await OFFERED[operation](self.context(), request)
        faults = check_shape(f"{operation}Response", output, relaxed=RELAXED)
        assert [str(fault) for fault in faults if EMPTY_LIST not in fault.path] == []
        return output

    async def gateway(self, **members):
        return await self("CreateGateway", **(GATEWAY | members))

    async def target(self, gateway, **members):
        return await self("CreateGatewayTarget", gatewayIdentifier=gateway["gatewayId"], **target(**members))

    async def every(self, operation, **request):
        """Read every page of a list."""
        items, more = [], {}
        while True:
            answer = await self(operation, **request, **more)
            items += next(value for value in answer.values() if isinstance(value, list))
            if "nextToken" not in answer:
                return items
            more = {"nextToken": answer["nextToken"]}

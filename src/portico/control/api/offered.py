"""Which operations of the AgentCore API Portico offers, each with the function that does it."""

from collections.abc import Mapping
from typing import Final

from portico.control.operations import gateways, tags, targets
from portico.control.operations.context import Operation

#: By name. Everything else of the model is refused, with a reason (:mod:`portico.control.api.refused`).
OFFERED: Final[Mapping[str, Operation]] = {
    "CreateGateway": gateways.create_gateway,
    "CreateGatewayTarget": targets.create_gateway_target,
    "DeleteGateway": gateways.delete_gateway,
    "DeleteGatewayTarget": targets.delete_gateway_target,
    "GetGateway": gateways.get_gateway,
    "GetGatewayTarget": targets.get_gateway_target,
    "ListGatewayTargets": targets.list_gateway_targets,
    "ListGateways": gateways.list_gateways,
    "ListTagsForResource": tags.list_tags_for_resource,
    "SynchronizeGatewayTargets": targets.synchronize_gateway_targets,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateGateway": gateways.update_gateway,
    "UpdateGatewayTarget": targets.update_gateway_target,
}

"""The CloudFormation template as it looks with its parameters filled in: the little of the language that it uses."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "deploy" / "aws" / "template.yaml"
NOTHING = object()  #: AWS::NoValue

#: What resources and the account turn out to be.
KNOWN = {
    "AWS::Region": "eu-central-1",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "tools",
    "AWS::NoValue": NOTHING,
    "HttpApi": "a1b2c3d4e5",
    "UserPool": "eu-central-1_AbCdEfGhI",
    "AppClient": "1h57kf5cpq17m0eml12example",
    "AppClient.ClientSecret": "51cl1sq7example1h57kf5cpq17m0eml12",
    "Gateway.GatewayUrl": "https://tools-abcdefghij.gateway.bedrock-agentcore.eu-central-1.amazonaws.com/mcp",
}
KEYRING = "k1:" + "0123456789abcdef" * 4

_SECRET = re.compile(r"\{\{resolve:secretsmanager:(arn:[^}]+?):SecretString:::([A-Za-z0-9-]+)\}\}\Z")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short)


@cache
def read_template() -> dict[str, Any]:
    return yaml.load(TEMPLATE.read_text(), _Loader)


class Filled:
    """The template with parameters given."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.template = read_template()
        unknown = given.keys() - self.template["Parameters"].keys()
        assert not unknown, f"the template has no parameters {unknown}"
        self.parameters: dict[str, str] = {}
        for name, parameter in self.template["Parameters"].items():
            value = given.get(name, parameter.get("Default"))
            assert value is not None, f"{name} has no default"
            self._judge(name, parameter, str(value))
            self.parameters[name] = str(value)

    def _judge(self, name: str, parameter: dict[str, Any], value: str) -> None:
        if "AllowedPattern" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], value), f"{name}: {value!r} is not allowed"
        if "AllowedValues" in parameter:
            assert value in map(str, parameter["AllowedValues"]), f"{name}: {value!r} is not allowed"

    def broken_rules(self) -> list[str]:
        """Return what CloudFormation would say before it begins."""
        return [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if self.holds(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.holds(assertion["Assert"])
        ]

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the resources that are made."""
        return {
            name: resource
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.holds({"Condition": resource["Condition"]})
        }

    def properties(self, name: str) -> dict[str, Any]:
        return self.value(self.resources()[name]["Properties"])

    def environment(self) -> dict[str, str]:
        """Return what the function finds in its environment."""
        return {name: str(value) for name, value in self.properties("Facade")["Environment"]["Variables"].items()}

    def outputs(self) -> dict[str, Any]:
        kept = {
            name: output["Value"]
            for name, output in self.template["Outputs"].items()
            if "Condition" not in output or self.holds({"Condition": output["Condition"]})
        }
        return self.value(kept)

    def holds(self, condition: Any) -> bool:
        match condition:
            case {"Condition": name}:
                return self.holds(self.template["Conditions"][name])
            case {"Fn::Equals": [left, right]}:
                return self.value(left) == self.value(right)
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::And": parts}:
                return all(self.holds(part) for part in parts)
        raise AssertionError(f"not a condition: {condition}")

    def value(self, node: Any) -> Any:
        match node:
            case {"Ref": _} | {"Fn::GetAtt": _} | {"Fn::If": _} | {"Fn::Sub": _}:
                return self._called(node)
            case dict():
                pairs = ((name, self.value(inner)) for name, inner in node.items())
                return {name: inner for name, inner in pairs if inner is not NOTHING}
            case list():
                return [inner for inner in map(self.value, node) if inner is not NOTHING]
        return node

    def _called(self, node: dict[str, Any]) -> Any:
        match node:
            case {"Ref": name}:
                return self._ref(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return KNOWN.get(f"{name}.{attribute}", f"<{name}.{attribute}>")
            case {"Fn::If": [condition, yes, no]}:
                return self.value(yes if self.holds({"Condition": condition}) else no)
            case {"Fn::Sub": text}:
                filled = re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: self._ref(found[1]), text)
                return KEYRING if _SECRET.match(filled) else filled
        raise AssertionError(f"not understood: {node}")

    def _ref(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        return KNOWN.get(name, f"<{name}>")

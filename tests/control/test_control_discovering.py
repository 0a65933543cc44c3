"""Reading a target's tools with its credential: what is asked, once more, and never."""

import pytest

from portico.control.discovering import CredentialedDiscovery
from portico.model.credential import ClientCredentialsUse, Credential
from portico.model.errors import CredentialUnavailable
from portico.model.target import EraTools, McpServer, Target
from portico.targets.discovery import Discovery

OLD = Credential(headers=((b"authorization", b"Bearer old"),))
NEW = Credential(headers=((b"authorization", b"Bearer new"),))
GOOD = Discovery(eras=(EraTools(era="modern", version="2026-07-28", tools=()),), reasons=())
REFUSED = Discovery(eras=(), reasons=("refused",), refused=True)


def target(use=None, **changes):
    return Target(
        id="t", name="t", gateway_id="g", kind=McpServer(endpoint="https://t.example"), credential=use, **changes
    )


class Source:
    """Gives what it is told to."""

    def __init__(self, *, first=OLD, other=NEW):
        self.first = first
        self.other = other
        self.asked = []

    async def credential_for(self, target, *, fresh=False):
        self.asked.append(("credential_for", fresh))
        if isinstance(self.first, Exception):
            raise self.first
        return self.first

    async def renewed(self, target, refused):
        self.asked.append(("renewed", refused))
        if isinstance(self.other, Exception):
            raise self.other
        return self.other


class Reader:
    """Writes down with what it was asked; finds tools with the new credential or with none."""

    def __init__(self, accepted=(NEW, None)):
        self.accepted = accepted
        self.asked = []

    async def __call__(self, target, credential):
        self.asked.append(credential)
        return GOOD if credential in self.accepted else REFUSED


async def test_a_target_is_read_with_a_fresh_credential():
    source, reader = Source(first=NEW), Reader()
    assert await CredentialedDiscovery(source, reader)(target()) == GOOD
    assert (source.asked, reader.asked) == ([("credential_for", True)], [NEW])


async def test_a_refused_credential_is_renewed_once():
    source, reader = Source(), Reader(accepted=())
    assert await CredentialedDiscovery(source, reader)(target()) == REFUSED
    assert reader.asked == [OLD, NEW]
    source, reader = Source(), Reader()
    assert await CredentialedDiscovery(source, reader)(target()) == GOOD


async def test_a_credential_that_cannot_be_renewed_leaves_the_refusal():
    reader = Reader()
    assert await CredentialedDiscovery(Source(other=None), reader)(target()) == REFUSED
    assert reader.asked == [OLD]


@pytest.mark.parametrize("era", ["auto", "modern"])
async def test_a_target_whose_credential_cannot_be_had_is_not_called_and_keeps_what_was_known(era):
    reader = Reader()
    found = await CredentialedDiscovery(Source(first=CredentialUnavailable("why")), reader)(target(era=era))
    assert (found.eras, found.reasons) == ((), ("why",))
    assert found.undecided == ({"legacy", "modern"} if era == "auto" else {"modern"})
    assert reader.asked == []
    found = await CredentialedDiscovery(Source(other=CredentialUnavailable("gone")), reader)(target(era=era))
    assert found.reasons == ("gone",)


async def test_a_persons_scopes_are_warned_of_whatever_was_found():
    use = ClientCredentialsUse(provider="idp", scopes=("email", "tools"))
    found = await CredentialedDiscovery(Source(first=NEW), Reader())(target(use))
    assert found.eras == GOOD.eras
    assert "the scopes email with client credentials" in found.reasons[0]

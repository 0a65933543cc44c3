"""GetTokenVault and SetTokenVaultCMK. There is one vault; the keyring seals what is in it, no key of a customer's."""

from collections.abc import Mapping
from typing import Any, Final

from portico.control.arns import VAULT
from portico.control.operations.context import OperationContext
from portico.model.errors import Fault, InvalidInput, NotFound

_KEY: Final = "kmsConfiguration"
#: Seconds since the epoch. The vault's configuration cannot change, so that it never did.
_NEVER: Final = 0


async def get_token_vault(_context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the vault.

    Raises:
        NotFound: there is none but ``default``.
    """
    _ensure_known(request)
    return {"tokenVaultId": VAULT, _KEY: {"keyType": "ServiceManagedKey"}, "lastModifiedDate": _NEVER}


async def set_token_vault_cmk(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer that customer keys are not built; to ask for the service's own key changes nothing.

    Raises:
        NotFound: there is no vault but ``default``.
        InvalidInput: a customer's key is given.
    """
    _ensure_known(request)
    wanted: Mapping[str, Any] = request[_KEY]
    if wanted["keyType"] == "CustomerManagedKey":
        message = "CustomerManagedKey is not built: the keyring seals the vault (`portico keyring rotate` changes keys)"
        raise InvalidInput([Fault(path=f"{_KEY}.keyType", message=message)])
    if "kmsKeyArn" in wanted:
        message = "belongs to CustomerManagedKey, which is not built; leave it out"
        raise InvalidInput([Fault(path=f"{_KEY}.kmsKeyArn", message=message)])
    return await get_token_vault(context, request)


def _ensure_known(request: Mapping[str, Any]) -> None:
    vault: str = request.get("tokenVaultId", VAULT)
    if vault != VAULT:
        raise NotFound(f"There is no token vault {vault!r}; the only one is {VAULT!r}.")

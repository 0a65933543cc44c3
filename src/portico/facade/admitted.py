"""Who was let in, and what the upstream server is called with in their place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from portico.model.principal import Principal
from portico.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A caller whose token was good."""

    principal: Principal
    #: The whole value of the ``Authorization`` header that goes upstream, its scheme included; empty: none goes.
    authorization: Secret


#: Judges the value of the only ``Authorization`` header of a request, None when there is none.
#:
#: Raises ``Unauthenticated`` or ``Forbidden``, which become challenges, and ``Unavailable`` when nobody can be judged.
Admit = Callable[[bytes | None], Awaitable[Admitted]]

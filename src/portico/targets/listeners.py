"""What is done with messages that a target sends before its answer: handed on, refused, or the end of the call."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from portico.model.call import Notification, ToolCall
from portico.model.errors import UpstreamError, UpstreamInvalid
from portico.protocol.client_answers import Message, notification_of, refusal_of
from portico.protocol.logs import reaches
from portico.targets.exchange import Listener

MAX_QUESTIONS: Final = 100  #: requests that a legacy server may send us in one call; each costs a POST

#: Hands a notification to the caller. What it raises ends the call.
Notify = Callable[[Notification], Awaitable[None]]


def modern_listener(number: int, call: ToolCall, notify: Notify | None) -> Listener:
    """Return what hands on the notifications of the request ``number``; a modern server may send nothing else."""

    async def listen(message: Message) -> None:
        if message.id is not None:  # 2026-07-28 streamable-http "Receiving Messages": MUST NOT
            raise UpstreamInvalid("The target sent a request on an answer stream, which this protocol forbids.")
        if notify is None:
            return
        told = notification_of(message, number)
        if told is not None and _is_for(call, told):
            await notify(told)

    return listen


def legacy_listener(
    number: int, call: ToolCall, notify: Notify | None, *, refuse: Callable[[bytes], Awaitable[None]]
) -> Listener:
    """Return what hands on the notifications of the request ``number`` and has the server's requests refused."""
    questions = 0

    async def listen(message: Message) -> None:
        nonlocal questions
        if message.id is not None:
            questions += 1
            if questions > MAX_QUESTIONS:
                raise UpstreamInvalid(f"The target sent more than {MAX_QUESTIONS} requests during one call.")
            with suppress(UpstreamError):  # a refusal that does not arrive is the server's loss
                await refuse(refusal_of(message))
        elif notify is not None and (told := notification_of(message, number)) is not None and _is_for(call, told):
            await notify(told)

    return listen


def _is_for(call: ToolCall, told: Notification) -> bool:
    """Tell whether the caller asked for this: who set no log level gets no messages.

    2026-07-28 server/utilities/logging "Per-request log level".
    """
    if told.level is None:
        return True
    return call.log_level is not None and reaches(told.level, call.log_level)

import pytest

from facade.front import front


@pytest.fixture(params=["direct", "asgi"])
async def house(request):
    """Everything holds on both ways to the proxy."""
    async with front(direct=request.param == "direct") as made:
        yield made

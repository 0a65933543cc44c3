"""Settings, wiring (the composition root), the ASGI application and its lifespan."""

"""Django with Channels: an echo WebSocket and a plain view behind one policy.

Needs ``pip install django channels``. Run it with
``uvicorn examples.django_channels:app --http asgi_upgrade.uvicorn:AutoProtocol``.
"""

from __future__ import annotations

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from asgi_upgrade import UpgradeMiddleware

# A project has these in its settings module.
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
django = get_asgi_application()


class Echo(AsyncWebsocketConsumer):
    """Say everything back, with the room's name."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Echo a message."""
        await self.send(f"{self.scope['url_route']['kwargs']['room']}: {text_data}", bytes_data)


async def health(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


urlpatterns = [path("health", health)]
websockets = URLRouter([path("ws/<str:room>", Echo.as_asgi())])

app = UpgradeMiddleware(
    ProtocolTypeRouter({"http": django, "websocket": websockets}),
    allow_origins=["https://shop.example"],
    h2c="ignore",
)

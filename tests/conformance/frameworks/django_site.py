"""A Django site: the admin, the ORM on SQLite, an upload, a stream, a file.

Django can be set up once per process.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import django  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]

from tests.conformance.frameworks.browser import upload_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

ADMIN, PASSWORD = "barkeeper", "whiskey sour"

# What urls.py is in a project: Django imports it by this module's name.
urlpatterns: list[Any] = []


def make_site(folder: Path, file_path: Path) -> WSGIApplication:
    """Set Django up with a database in `folder`, and give its WSGI application."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        FILE_UPLOAD_TEMP_DIR=str(folder),
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for tests",
        STATIC_URL="/static/",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_TZ=True,
    )
    django.setup()
    _fill_database()
    _add_views(file_path)

    from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]

    application: WSGIApplication = get_wsgi_application()
    return application


def _fill_database() -> None:
    from django.contrib.auth.models import User  # type: ignore[import-untyped]
    from django.core.management import call_command  # type: ignore[import-untyped]
    from django.db import connections  # type: ignore[import-untyped]

    call_command("migrate", verbosity=0)
    User.objects.create_superuser(ADMIN, "", PASSWORD)
    # Application threads open connections of their own.
    connections.close_all()


def _add_views(file_path: Path) -> None:
    from django.contrib import admin  # type: ignore[import-untyped]
    from django.contrib.auth.models import Group
    from django.http import (  # type: ignore[import-untyped]
        FileResponse,
        HttpRequest,
        HttpResponse,
        JsonResponse,
        StreamingHttpResponse,
    )
    from django.urls import path  # type: ignore[import-untyped]
    from django.views.decorators.csrf import csrf_exempt  # type: ignore[import-untyped]

    def groups(request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            Group.objects.create(name=request.POST["name"])
        return JsonResponse(list(Group.objects.order_by("name").values_list("name", flat=True)), safe=False)

    def upload(request: HttpRequest) -> HttpResponse:
        file = request.FILES["file"]
        content = b"".join(file.chunks())
        kind = type(file).__name__
        return HttpResponse(f"{kind}: {upload_report(request.POST['title'], file.name, content)}")

    def echo_body(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.body, content_type=request.content_type)

    def stream(_request: HttpRequest) -> HttpResponse:
        def generate() -> Iterator[str]:
            for number in range(5):
                yield f"pour {number}\n"

        return StreamingHttpResponse(generate(), content_type="text/plain")

    def file(_request: HttpRequest) -> HttpResponse:
        return FileResponse(file_path.open("rb"))

    def broken(_request: HttpRequest) -> HttpResponse:
        raise ValueError("broken on purpose")

    urlpatterns.extend(
        [
            path("admin/", admin.site.urls),
            path("groups/", csrf_exempt(groups)),
            path("upload/", csrf_exempt(upload)),
            path("echo/", csrf_exempt(echo_body)),
            path("stream/", stream),
            path("file/", file),
            path("broken/", broken),
        ]
    )
